/** Arguments nobody should give: anything at all, and values that are nearly right. As data, so that a run can be shrunk and shown. */
import fc from 'fast-check';
import type { World } from './world.js';

/** A value of the list below, or an object of the world, by name: made when the call is made. */
export interface Pick {
  readonly pick: string;
}

/** How a call's arguments come about. */
export interface Plan {
  /** Which of the valid calls is bent; past the last one, the arguments are `values` alone. */
  readonly call: number;
  readonly how: 'replace' | 'inside' | 'drop' | 'add' | 'option' | 'map' | 'bare';
  readonly at: number;
  readonly inside: number;
  readonly values: readonly unknown[];
}

const NEAR: Readonly<Record<string, () => unknown>> = {
  NaN: () => Number.NaN,
  'minus one': () => -1,
  half: () => 0.5,
  huge: () => 2 ** 31,
  'beyond memory': () => 2 ** 40,
  'beyond integers': () => 2 ** 60,
  infinity: () => Number.POSITIVE_INFINITY,
  'a bigint': () => 3n,
  'a symbol': () => Symbol('s'),
  'an empty text': () => '',
  'a long text': () => 'x'.repeat(100_000),
  'a name': () => 'default',
  __proto__text: () => '__proto__',
  'true in text': () => 'true',
  'an empty array': () => [],
  'numbers in text': () => ['1', '2'],
  'an array with a hole': () => Object.assign([1], { 2: 3 }),
  'an array of symbols': () => [Symbol('s')],
  'a huge shape': () => [2 ** 20, 2 ** 20],
  'negative numbers': () => [-1, -2],
  'a bare length': () => ({ length: 3 }),
  'an empty object': () => ({}),
  'an object of no prototype': () => Object.create(null) as object,
  'an object that refers to itself': () => {
    const own: { self?: object } = {};
    own.self = own;
    return own;
  },
  'a proxy of an object': () => new Proxy({}, {}),
  'a proxy of an array': () => new Proxy([1, 2], {}),
  'a proxy of floats': () => new Proxy(new Float32Array(2), {}),
  'an instance': () => new (class Options {})(),
  'a Map': () => new Map<unknown, unknown>([['r', 8]]),
  'a Set': () => new Set([1]),
  'a Date': () => new Date(0),
  'a RegExp': () => /./g,
  'a promise': () => Promise.resolve(1),
  'a function': () => () => 1,
  'an async function': () => async () => 1,
  floats: () => new Float32Array(6),
  doubles: () => new Float64Array(6),
  int64s: () => new BigInt64Array(6),
  bytes: () => Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9),
  'a buffer': () => new ArrayBuffer(8),
  'shared bytes': () => new Uint8Array(new SharedArrayBuffer(8)),
  'a detached array': () => {
    const floats = new Float32Array(6);
    structuredClone(floats.buffer, { transfer: [floats.buffer] });
    return floats;
  },
  'a DataView': () => new DataView(new ArrayBuffer(8)),
  'a Blob': () => new Blob(['{}']),
  'a URL of no file': () => new URL('file:///nowhere/at/all/'),
};

/** A value of `NEAR` or the world, anywhere in arrays and plain objects; all else as it is. */
export function materialise(world: World, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((entry) => materialise(world, entry));
  if (value === null || typeof value !== 'object') return value;
  const { pick } = value as Partial<Pick>;
  if (typeof pick !== 'string' || Object.keys(value).length !== 1) return value;
  return Object.hasOwn(NEAR, pick) ? NEAR[pick]!() : (world.objects.get(pick) ?? value);
}

const anything = fc.anything({
  ...{ maxDepth: 2, maxKeys: 3, withBigInt: true, withBoxedValues: true, withDate: true, withMap: true },
  ...{ withNullPrototype: true, withObjectString: true, withSet: true, withSparseArray: true },
  withTypedArray: true,
});

/** @param names - of the world's objects */
export function plans(names: readonly string[]): fc.Arbitrary<Plan> {
  const pick = (from: readonly string[]): fc.Arbitrary<unknown> =>
    fc.constantFrom(...from.map((name): Pick => ({ pick: name })));
  const one = fc.oneof(
    { weight: 3, arbitrary: anything },
    { weight: 4, arbitrary: pick(Object.keys(NEAR)) },
    { weight: 4, arbitrary: pick(names) },
  );
  const value = fc.oneof(
    { weight: 9, arbitrary: one },
    { weight: 1, arbitrary: fc.array(pick(names), { maxLength: 3 }) },
  );
  return fc.record({
    call: fc.nat({ max: 5 }),
    how: fc.constantFrom('replace', 'inside', 'inside', 'drop', 'add', 'option', 'map', 'bare'),
    at: fc.nat({ max: 5 }),
    inside: fc.nat({ max: 9 }),
    values: fc.array(value, { minLength: 1, maxLength: 5 }),
  });
}

/** The arguments that a plan comes to. @param valid - the target's valid calls in this world */
export function argumentsOf(world: World, plan: Plan, valid: readonly (readonly unknown[])[]): unknown[] {
  const values = plan.values.map((value) => materialise(world, value));
  const call = valid[plan.call % (valid.length + 1)];
  if (call === undefined || plan.how === 'bare') return values;
  const args = [...call];
  const at = plan.at % Math.max(args.length, 1);
  const [first] = values;
  if (plan.how === 'replace') args[at] = first;
  else if (plan.how === 'drop') args.splice(at, 1);
  else if (plan.how === 'add') args.push(first);
  else args[at] = bent(args[at], plan, first);
  return args;
}

/** An array or plain object of a valid call with one part changed; `value` in the place of anything else. */
function bent(part: unknown, { how, inside }: Plan, value: unknown): unknown {
  if (Array.isArray(part)) return part.with(inside % Math.max(part.length, 1), value);
  if (part === null || typeof part !== 'object' || Object.getPrototypeOf(part) !== Object.prototype)
    return value;
  const keys = Object.keys(part);
  if (how === 'map') return new Map(Object.entries(part));
  if (how === 'option' || keys.length === 0) return { ...part, noSuchOption: value };
  return { ...part, [keys[inside % keys.length]!]: value };
}
