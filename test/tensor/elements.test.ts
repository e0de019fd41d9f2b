/** Reading elements: what is taken and what is refused, alike in every place that takes numbers, and nothing changed by a refusal. */
import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createRuntime, Linear, Sequential, type StateDict } from '../../src/index.js';
import { readElements } from '../../src/tensor/elements.js';
import { wrong } from '../support/wrong.js';

const rt = await createRuntime({ kernels: 'simd', threads: 1 });
const START = [7, 8, 9];

/** Every way in for three elements: gives what is then there. */
const WAYS: [string, (source: ArrayLike<number>) => number[]][] = [
  ['rt.tensor', (source) => [...rt.tensor(source, [3], { dtype: 'f32' }).toArray()]],
  ['Tensor.set', (source) => [...target.set(source).toArray()]],
  [
    'loadStateDict',
    (source) => {
      const state = new Map([...net.stateDict()].map(([name, { shape }]) => [name, { shape, data: START }]));
      net.loadStateDict(state.set('1.bias', { shape: [3], data: source as number[] }));
      return [...net.stateDict().get('1.bias')!.data];
    },
  ],
];
const target = rt.tensor(START);
const net = new Sequential(new Linear(rt, 1, 3), new Linear(rt, 1, 3));
net.loadStateDict(new Map([...net.stateDict()].map(([name, { shape }]) => [name, { shape, data: START }])));

const TAKEN: [string, ArrayLike<number>, number[]][] = [
  ['numbers', [1, -2.5, 3], [1, -2.5, 3]],
  [
    'what is not finite',
    [Number.NaN, Number.POSITIVE_INFINITY, 0],
    [Number.NaN, Number.POSITIVE_INFINITY, 0],
  ],
  ['an array-like of numbers', { length: 3, 0: 1, 1: 2, 2: 3 }, [1, 2, 3]],
  ['float64', Float64Array.of(1, 2, 3), [1, 2, 3]],
  ['bytes', Uint8Array.of(1, 2, 255), [1, 2, 255]],
  ['int64 that fits', wrong(BigInt64Array.of(1n, -16777216n, 3n)), [1, -16777216, 3]],
  ['uint64 that fits', wrong(BigUint64Array.of(1n, 2n ** 63n, 3n)), [1, 2 ** 63, 3]],
];

const REFUSED: [string, unknown, string][] = [
  ['strings', ['1', '2', '3'], "element 0 is '1', expected a number"],
  ['a string', '123', "is '123', expected an array of numbers"],
  // biome-ignore lint/suspicious/noSparseArray: a hole is what is tested
  ['a hole', [1, , 3], 'element 1 is undefined, expected a number'],
  ['a length alone', { length: 3 }, 'element 0 is undefined, expected a number'],
  ['a length that is none', { length: '3', 0: 1, 1: 2, 2: 3 }, 'expected an array of numbers'],
  ['null among numbers', [1, null, 3], 'element 1 is null, expected a number'],
  ['bigints in a plain array', [1, 2n, 3], 'element 1 is 2n, expected a number'],
  ['a symbol', [1, 2, Symbol('x')], 'element 2 is Symbol(x), expected a number'],
  ['nested rows', [[1], [2], [3]], 'element 0 is [1], expected a number'],
  [
    'int64 that float32 rounds',
    BigInt64Array.of(1n, 16777217n, 3n),
    'element 1 is 16777217, expected an integer that float32 holds exactly',
  ],
  ['another length', [1, 2], '2 elements, expected'],
  ['a DataView', new DataView(new ArrayBuffer(3)), 'is DataView, expected an array of numbers'],
  ['nothing', null, 'is null, expected an array of numbers'],
];

afterEach(() => {
  vi.restoreAllMocks();
  target.set(START);
});

describe.each(WAYS)('%s', (_, give) => {
  test.each(TAKEN)('takes %s', (_what, source, values) => {
    expect(give(source)).toEqual(values);
  });

  test.each(REFUSED)('refuses %s, and nothing has changed', (_what, source, words) => {
    const before = net.stateDict();
    const { tensors, blocks } = rt.memory();
    expect(() => give(wrong(source))).toThrow(words);
    expect([...target.toArray()]).toEqual(START);
    expect(net.stateDict()).toEqual(before);
    expect(rt.memory()).toMatchObject({ tensors, blocks });
  });
});

test('token ids as int64 are int32 where they fit', () => {
  const ids = rt.tensor(BigInt64Array.of(1n, -(2n ** 31n)));
  expect(ids.dtype).toBe('i32');
  expect(ids.toArray()).toEqual(Int32Array.of(1, -(2 ** 31)));
  expect(() => ids.set(BigInt64Array.of(0n, 2n ** 31n))).toThrow(
    'Tensor.set: element 1 is 2147483648, expected a 32-bit integer',
  );
  expect(() => rt.tensor(BigUint64Array.of(2n ** 32n))).toThrow('Runtime.tensor: element 0 is 4294967296');
  expect(ids.toArray()).toEqual(Int32Array.of(1, -(2 ** 31)));
});

test('int32 takes whole numbers of any array, and a refusal leaves all of them', () => {
  const ids = rt.tensor(Int32Array.of(1, 2));
  for (const source of [[3, 4], Float32Array.of(3, 4), Uint32Array.of(3, 4), Int8Array.of(3, 4)])
    expect(ids.set(source).toArray()).toEqual(Int32Array.of(3, 4));
  for (const source of [[5, 0.5], Float64Array.of(5, Number.NaN), Uint32Array.of(5, 2 ** 31)])
    expect(() => ids.set(source)).toThrow('element 1 is');
  expect(ids.toArray()).toEqual(Int32Array.of(3, 4));
});

test('a float32 array is copied once, as it is', () => {
  const source = Float32Array.from({ length: 1000 }, (_, i) => i / 3);
  expect(readElements('here', source, 1000, 'f32')).toBe(source);
  const copies = vi.spyOn(Object.getPrototypeOf(Float32Array.prototype) as Float32Array, 'set');
  const tensor = rt.tensor(source);
  tensor.set(source);
  const layer = new Linear(rt, 10, 100, { bias: false });
  layer.loadStateDict({ weight: { shape: [100, 10], data: source } });
  expect(copies.mock.calls.map(([from]) => from)).toEqual([source, source, source]);
  expect(copies.mock.calls.every(([from]) => (from as unknown) === source)).toBe(true);
  copies.mockClear();
  tensor.set(tensor.detach());
  expect(copies.mock.calls.map(([from]) => from.length)).toEqual([1000]);
});

test('a state dict with one wrong entry changes none, wherever the entry stands', () => {
  const parameters = net.namedParameters();
  fc.assert(
    fc.property(
      fc.nat({ max: parameters.length - 1 }),
      fc.constantFrom<unknown>(
        null,
        7,
        { shape: [3] },
        { shape: '3', data: START },
        { shape: [3], data: 'abc' },
        { shape: [3, 1], data: [1, 2, '3'] },
        { shape: [1, 3], data: START },
      ),
      (at, entry) => {
        const before = net.stateDict();
        const state = new Map<string, unknown>(
          parameters.map(([name, { shape, size }]) => [name, { shape, data: new Float32Array(size) }]),
        );
        state.set(parameters[at]![0], entry);
        expect(() => net.loadStateDict(state as unknown as StateDict)).toThrow(
          `Sequential.loadStateDict: ${parameters[at]![0]}`,
        );
        expect(net.stateDict()).toEqual(before);
      },
    ),
    { numRuns: 40 },
  );
});

test('a disposed parameter is found before another has changed', () => {
  const pair = new Sequential(new Linear(rt, 1, 1), new Linear(rt, 1, 1));
  const state = pair.stateDict();
  for (const { data } of state.values()) data.fill(42);
  (pair.layers[1] as Linear).bias!.dispose();
  const { weight } = pair.layers[0] as Linear;
  const before = weight.toArray();
  expect(() => pair.loadStateDict(state)).toThrow(
    'Sequential.loadStateDict: 1.bias was used after dispose()',
  );
  expect(weight.toArray()).toEqual(before);
});

test('a tensor is set to one of another runtime, and to none that is gone', async () => {
  using other = await createRuntime({ kernels: 'simd', threads: 1 });
  const from = other.tensor([1, 2, 3]);
  expect([...target.set(from).toArray()]).toEqual([1, 2, 3]);
  from.dispose();
  expect(() => target.set(from)).toThrow('Tensor.set: source [3] was used after dispose()');
});

test('an array that says it is longer than it is writes nothing', () => {
  class Long extends Float32Array {
    override get length(): number {
      return 3;
    }
  }
  expect(() => target.set(new Long(2))).toThrow('Tensor.set: source has 2 elements, expected 3');
  class Short extends Float32Array {
    override get length(): number {
      return 3;
    }
  }
  expect(() => target.set(new Short(4000))).toThrow('Tensor.set: source has 4000 elements, expected 3');
  expect([...target.toArray()]).toEqual(START);
});
