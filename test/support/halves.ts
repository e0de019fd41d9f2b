/**
 * Rounding to 16 bits by its definition alone: of all the values that a type has, the nearest, and of two as near the one whose
 * bits are even. The overflow is the value that would follow the largest. Independent of how the package rounds.
 */
import type { HalfDType } from '../../src/values/halves.js';

/** Bits of exponent and of fraction. */
const PARTS = { f16: [5, 10], bf16: [8, 7] } as const;

/** The value of bits, from the definition of a binary floating-point number. */
export function floatOf(dtype: HalfDType, bits: number): number {
  const [e, f] = PARTS[dtype];
  const bias = 2 ** (e - 1) - 1;
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> f) & (2 ** e - 1);
  const fraction = bits & (2 ** f - 1);
  if (exponent === 2 ** e - 1) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** (1 - bias - f);
  return sign * (2 ** f + fraction) * 2 ** (exponent - bias - f);
}

/** The bits nearest to a number that is not NaN. */
export function nearest(dtype: HalfDType, value: number): number {
  const [e, f] = PARTS[dtype];
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  const infinite = (2 ** e - 1) << f;
  /** Of sizes, which grow with their bits; infinity stands for what would come next. */
  const at = (bits: number): number =>
    bits < infinite ? floatOf(dtype, bits) : 2 * floatOf(dtype, infinite - (1 << f));
  if (size >= at(infinite)) return sign | infinite;
  let [low, high] = [0, infinite];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (at(middle) <= size) low = middle;
    else high = middle;
  }
  const [below, above] = [size - at(low), at(high) - size];
  if (below === above) return sign | (low % 2 === 0 ? low : high);
  return sign | (below < above ? low : high);
}

/** The values as the type holds them. */
export const rounded = (dtype: HalfDType, values: ArrayLike<number>): number[] =>
  Array.from(values, (value) => floatOf(dtype, nearest(dtype, value)));
