/**
 * Numbers of 16 bits: IEEE half precision (f16) and bfloat16, to float32 and back. Asked by tensors, whose elements may be
 * such, and by the formats. Rounding is to the nearest, ties to even, straight from the number given: never by way of float32.
 */

/** The types of 16 bits. */
export type HalfDType = 'f16' | 'bf16';

export function isHalf(dtype: string): dtype is HalfDType {
  return dtype === 'f16' || dtype === 'bf16';
}

/** The value of a half by its bits. */
export function halfToFloat(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

let table: Float32Array | null = null;

/** Every half there is, by its bits: made once, 256 KB. */
function halfTable(): Float32Array {
  if (table === null) {
    table = new Float32Array(2 ** 16);
    for (let bits = 0; bits < table.length; bits++) table[bits] = halfToFloat(bits);
  }
  return table;
}

/** Expands bits into `to`, which has as many elements. */
export function decodeHalves(dtype: HalfDType, bits: Uint16Array, to: Float32Array): void {
  const count = bits.length;
  if (dtype === 'f16') {
    const known = halfTable();
    for (let i = 0; i < count; i++) to[i] = known[bits[i]!]!;
    return;
  }
  // A bfloat16 is the upper half of a float32.
  const whole = new Uint32Array(to.buffer, to.byteOffset, count);
  for (let i = 0; i < count; i++) whole[i] = bits[i]! << 16;
}

const ONE_FLOAT = new Float32Array(1);
const ITS_BITS = new Uint32Array(ONE_FLOAT.buffer);
/** Of the float32 0.5. */
const HALF_BITS = 0x3f000000;

/** Rounds numbers into `to`, which has as many elements. Takes no memory of note. */
export function encodeHalves(dtype: HalfDType, values: ArrayLike<number>, to: Uint16Array): void {
  const count = to.length;
  if (values instanceof Float32Array) {
    // A loop for each type, and signed words: called by way of a variable, or with words above 2^31, it takes several times as long.
    const bits = new Int32Array(values.buffer, values.byteOffset, count);
    if (dtype === 'f16') for (let i = 0; i < count; i++) to[i] = halfOf(bits[i]!);
    else for (let i = 0; i < count; i++) to[i] = brainOf(bits[i]!);
    return;
  }
  const round = dtype === 'f16' ? halfOf : brainOf;
  for (let i = 0; i < count; i++) to[i] = round(oddBits(values[i]!));
}

/** A number as its type of 16 bits holds it. */
export function roundHalf(dtype: HalfDType, value: number): number {
  const bits = oddBits(value);
  if (dtype === 'f16') return halfToFloat(halfOf(bits));
  ITS_BITS[0] = brainOf(bits) << 16;
  return ONE_FLOAT[0]!;
}

/** Whether none is infinite or NaN. */
export function finiteHalves(dtype: HalfDType, bits: Uint16Array): boolean {
  const exponent = dtype === 'f16' ? 0x7c00 : 0x7f80;
  for (let i = 0; i < bits.length; i++) if ((bits[i]! & exponent) === exponent) return false;
  return true;
}

/**
 * Bits of a float32 beside the number: rounded towards zero, the last bit set where anything was cut off. Rounding that
 * once more to 16 bits is the same as rounding the number itself (S. Boldo and G. Melquiond, "Emulation of FMA and correctly
 * rounded sums: proved algorithms using rounding to odd", 2008).
 */
function oddBits(value: number): number {
  ONE_FLOAT[0] = value;
  const near = ONE_FLOAT[0]!;
  const bits = ITS_BITS[0]!;
  if (near === value || Number.isNaN(value)) return bits;
  return (Math.abs(near) > Math.abs(value) ? bits - 1 : bits) | 1;
}

/** A float32, by its bits, as bfloat16. */
function brainOf(bits: number): number {
  // NaN stays NaN, whatever of its payload is cut off.
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** A float32, by its bits, as half precision. */
function halfOf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const size = bits & 0x7fffffff;
  if (size > 0x7f800000) return sign | 0x7e00 | ((size >>> 13) & 0x3ff);
  // From 65520 on, half-way between the largest half and what would be the next.
  if (size >= 0x477ff000) return sign | 0x7c00;
  if (size >= 0x38800000) return sign | ((size - 0x38000000 + 0xfff + ((size >>> 13) & 1)) >>> 13);
  // Below 2^-14, multiples of 2^-24, as which every float32 from a half up to one is rounded.
  ITS_BITS[0] = size;
  ONE_FLOAT[0]! += 0.5;
  return sign | (ITS_BITS[0]! - HALF_BITS);
}
