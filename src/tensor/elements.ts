/**
 * The elements that a caller hands over, for tensors, parameters and whole state dicts. All are checked before any is
 * written: what comes out of here can be copied into memory and nothing can go wrong on the way.
 */
import { describe } from '../values/checks.js';
import { isQuantised } from '../values/dtypes.js';
import { type HalfDType, isHalf } from '../values/halves.js';
import { typedArrayLength, typedArrayName } from '../values/kind.js';
import type { DType } from '../values/shape.js';

/** Where elements come from: arrays of numbers, and 64-bit integers as tokenizers and files give them. */
export type ElementSource = ArrayLike<number> | BigInt64Array | BigUint64Array;

/** Names of typed arrays whose every value fits into 32-bit integers: all of integers but Uint32Array and those of bigints. */
const SMALL = /^(Int|Uint(8|16))/;

/** Names of typed arrays of bigints. */
const BIG = /^Big/;

/** How many elements a source has. @param name - what it is called in errors @throws TypeError for what is no array */
export function countElements(where: string, name: string, source: unknown): number {
  if (typedArrayName(source) !== null) return typedArrayLength(source as ArrayBufferView);
  const length = lengthOf(source);
  if (typeof length !== 'number' || !Number.isSafeInteger(length) || length < 0)
    throw new TypeError(`${where}: ${name} is ${describe(source)}, expected an array of numbers`);
  return length;
}

/** An object's length; undefined for what has none, or cannot be asked, as a proxy of a typed array. */
function lengthOf(source: unknown): unknown {
  if (source === null || typeof source !== 'object') return undefined;
  try {
    return (source as { readonly length?: unknown }).length;
  } catch {
    return undefined;
  }
}

/** The dtype of a source where nobody names one: integers of 32 and 64 bits are int32, all else is float32. */
export function dtypeOfSource(source: unknown): DType {
  return /^(Int32|Big)/.test(typedArrayName(source) ?? '') ? 'i32' : 'f32';
}

/**
 * The elements of a source, to be copied by a typed array's `set`: the source itself where that needs no change, as every
 * Float32Array for float32, else a copy that is right. Plain arrays may hold numbers alone; a hole is none.
 * @param count - what `countElements` gave
 * @throws TypeError for an element that is no number and for a quantised dtype, which holds none; RangeError for one that `dtype` cannot hold
 */
export function readElements(where: string, source: unknown, count: number, dtype: DType): ArrayLike<number> {
  if (isQuantised(dtype))
    throw new TypeError(
      `${where}: got numbers for ${dtype}, expected the bytes of its blocks, by writeBytes()`,
    );
  const name = typedArrayName(source);
  if (name === null) return numbersOf(where, source as ArrayLike<unknown>, count, dtype);
  if (BIG.test(name)) return integersOf(where, source as BigInt64Array, count, dtype);
  const values = source as Float32Array;
  if (dtype === 'i32' && !SMALL.test(name)) for (let i = 0; i < count; i++) checkInt32(where, i, values[i]!);
  return values;
}

function numbersOf(
  where: string,
  source: ArrayLike<unknown>,
  count: number,
  dtype: DType,
): Float32Array | Float64Array | Int32Array {
  // Looked at before memory is taken: a length may be a lie.
  for (let i = 0; i < count; i++) {
    const value = source[i];
    if (typeof value !== 'number')
      throw new TypeError(`${where}: element ${i} is ${describe(value)}, expected a number`);
    if (dtype === 'i32') checkInt32(where, i, value);
  }
  const values = roomFor(count, dtype);
  for (let i = 0; i < count; i++) values[i] = Number(source[i]);
  return values;
}

/** Numbers that become float32 or int32 keep their bits from here on; those that become 16 bits are rounded once, later. */
function roomFor(count: number, dtype: DType): Float32Array | Float64Array | Int32Array {
  return new (isHalf(dtype) ? Float64Array : dtype === 'i32' ? Int32Array : Float32Array)(count);
}

function integersOf(
  where: string,
  source: BigInt64Array | BigUint64Array,
  count: number,
  dtype: DType,
): Float32Array | Float64Array | Int32Array {
  const values = roomFor(count, dtype);
  for (let i = 0; i < count; i++) {
    const value = source[i]!;
    const number = Number(value);
    values[i] = number;
    if (BigInt(values[i]!) !== value || (isHalf(dtype) && !holds(dtype, number))) {
      const name = isHalf(dtype) ? dtype : 'float32';
      const expected = dtype === 'i32' ? 'a 32-bit integer' : `an integer that ${name} holds exactly`;
      throw new RangeError(`${where}: element ${i} is ${value}, expected ${expected}`);
    }
  }
  return values;
}

/** Whether a type of 16 bits holds a 64-bit integer: it has few significant bits, to which the sum is rounded. */
function holds(dtype: HalfDType, value: number): boolean {
  const [bits, most] = dtype === 'f16' ? [11, 65504] : [8, 2 ** 64];
  const far = value * 2 ** (53 - bits);
  return Math.abs(value) <= most && value + far - far === value;
}

/** @throws RangeError when a value is not a 32-bit integer */
function checkInt32(where: string, i: number, value: number): void {
  if ((value | 0) !== value)
    throw new RangeError(`${where}: element ${i} is ${value}, expected a 32-bit integer`);
}
