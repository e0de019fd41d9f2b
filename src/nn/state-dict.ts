/**
 * A module's parameters as named arrays, and the way back: the forms that `Module.stateDict` gives and `loadStateDict` takes. An
 * optimiser's state has the same forms.
 */
import { wordsOf } from '../tensor/content.js';
import { countElements, type ElementSource, readElements } from '../tensor/elements.js';
import type { Parameter } from '../tensor/parameter.js';
import type { ShapedArray } from '../values/arrays.js';
import { checkBoolean, checkOptions, describe } from '../values/checks.js';
import { bytesOf, isQuantised, type QuantisedDType } from '../values/dtypes.js';
import { isHalf } from '../values/halves.js';
import { isMap, isPlainObject, typedArrayName } from '../values/kind.js';
import { type Shape, sameShape, showShape } from '../values/shape.js';

type NamedParameters = readonly (readonly [string, Parameter])[];

/** An array with its shape: what `stateDict` gives and `loadStateDict` takes, and what the formats read and write. */
export type NamedArray = ShapedArray<ElementSource>;

/** A parameter's elements as a file holds them: those of 16 bits by their bits, in words, quantised ones by the bytes of their blocks. */
export type StateArray = { readonly shape: Shape } & (
  | { readonly dtype: 'F32'; readonly data: Float32Array<ArrayBuffer> }
  | { readonly dtype: 'I32'; readonly data: Int32Array<ArrayBuffer> }
  | { readonly dtype: 'F16' | 'BF16'; readonly data: Uint16Array<ArrayBuffer> }
  | { readonly dtype: Uppercase<QuantisedDType>; readonly data: Uint8Array<ArrayBuffer> }
);

/** What `stateDict` gives: copies, by dotted name. */
export type StateDict = Map<string, StateArray>;

/** Names that did not find each other in `loadStateDict`. */
export interface LoadResult {
  readonly missing: string[];
  readonly unexpected: string[];
}

/** Copies of parameters, by name. @throws Error for one that was disposed of */
export function stateOf(where: string, parameters: NamedParameters): StateDict {
  return new Map(
    parameters.map(([name, parameter]) => {
      if (parameter.disposed) throw new Error(`${where}: ${name} was used after dispose()`);
      return [name, copyOf(parameter)];
    }),
  );
}

/** The dtypes of files are those of tensors in capitals, and a copy of what lies in memory has the array that each takes. */
function copyOf(parameter: Parameter): StateArray {
  const { shape, dtype } = parameter;
  return { dtype: dtype.toUpperCase(), shape, data: wordsOf(parameter).slice() } as StateArray;
}

/** Overwrites parameters by name, after all is checked. @throws TypeError, RangeError; nothing has changed then */
export function loadState(
  where: string,
  named: NamedParameters,
  state: unknown,
  options: { readonly strict?: boolean },
): LoadResult {
  checkOptions(where, options, ['strict']);
  const strict = checkBoolean(`${where}: strict`, options.strict ?? true);
  const entries = entriesOf(where, state);
  const parameters = new Map(named);
  const missing = [...parameters.keys()].filter((name) => !entries.has(name));
  const unexpected = [...entries.keys()].filter((name) => !parameters.has(name));
  if (strict && missing.length + unexpected.length > 0) {
    throw new RangeError(
      `${where}: missing [${missing.join(', ')}], unexpected [${unexpected.join(', ')}], expected the names of this module`,
    );
  }
  const plan: [Parameter, ArrayLike<number>][] = [];
  for (const [name, parameter] of parameters)
    if (entries.has(name)) plan.push([parameter, elementsFor(where, name, parameter, entries.get(name))]);
  for (const [parameter, elements] of plan) parameter.write(elements);
  return { missing, unexpected };
}

/** @internal A state dict's entries by name, not looked at yet. @throws TypeError */
export function entriesOf(where: string, state: unknown): Map<string, unknown> {
  if (isMap(state)) {
    const names = [...state.keys()];
    const wrong = names.findIndex((name) => typeof name !== 'string');
    if (wrong >= 0)
      throw new TypeError(`${where}: a name of state is ${describe(names[wrong])}, expected strings`);
    return new Map(state as Map<string, unknown>);
  }
  if (!isPlainObject(state))
    throw new TypeError(`${where}: state is ${describe(state)}, expected a Map or a plain object`);
  return new Map(Object.entries(state));
}

/** An entry's elements, ready to be written to `parameter`. @throws TypeError, RangeError; Error for a disposed parameter */
function elementsFor(where: string, name: string, parameter: Parameter, entry: unknown): ArrayLike<number> {
  if (entry === null || typeof entry !== 'object' || !('shape' in entry) || !('data' in entry))
    throw new TypeError(`${where}: ${name} is ${describe(entry)}, expected { shape, data }`);
  const { shape, data } = entry;
  if (parameter.disposed) throw new Error(`${where}: ${name} was used after dispose()`);
  const { dtype, size } = parameter;
  // Blocks of the parameter's own type go in as they are; numbers are not quantised here.
  const own = isQuantised(dtype) && dtypeIn(entry) === dtype.toLowerCase();
  const blocks = own && typedArrayName(data) === 'Uint8Array' ? (data as Uint8Array) : null;
  const count = countElements(`${where}: ${name}`, 'data', data);
  if (
    !Array.isArray(shape) ||
    !sameShape(shape, parameter.shape) ||
    count !== (blocks === null ? size : bytesOf(parameter.shape, dtype))
  )
    throw new RangeError(
      `${where}: ${name} is ${describe(shape)} with ${count} elements, expected ${showShape(parameter.shape)}`,
    );
  return blocks ?? readElements(`${where}: ${name}`, valuesOf(parameter, entry, data), count, dtype);
}

/** The dtype that an entry names, in lower case. */
function dtypeIn(entry: object): string {
  return 'dtype' in entry && typeof entry.dtype === 'string' ? entry.dtype.toLowerCase() : '';
}

/** An entry's data as values: words that its dtype says are the bits of numbers, expanded. They round back to the same bits, but for a NaN's. */
function valuesOf({ runtime }: Parameter, entry: object, data: unknown): unknown {
  const dtype = dtypeIn(entry);
  if (!isHalf(dtype) || typedArrayName(data) !== 'Uint16Array') return data;
  const bits = data as Uint16Array;
  const held = runtime.empty([bits.length], dtype);
  wordsOf(held).set(bits);
  try {
    return held.toArray();
  } finally {
    held.dispose();
  }
}
