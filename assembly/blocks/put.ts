// The last step of every expansion: 16 whole numbers, a byte each, become f32 times a scale, then plus a minimum. A scale is a half, or a half
// times six bits, and a number has eight bits at most: their product is exact in f32, so that a fused multiply-add rounds where an
// addition would and gives the same bits. Called by small.ts and large.ts.
import { constant, FUSED, madd } from '../simd';

/** Bytes 4g to 4g + 3 into the upper bytes of lanes, for g from 0 to 3; what has its top bit set becomes 0. */
const UPPER_BYTES = memory.data<u32>([0x00808080, 0x01808080, 0x02808080, 0x03808080, 0x04808080, 0x05808080, 0x06808080, 0x07808080, 0x08808080, 0x09808080, 0x0a808080, 0x0b808080, 0x0c808080, 0x0d808080, 0x0e808080, 0x0f808080], 16);
/** 2^-24 */
const OF_UPPER = memory.data<u32>([0x33800000]);

/** Where the relaxed build finds the bytes of the g-th vector: to be loaded before a loop. */
// @ts-ignore: decorator
@inline
export function places(g: usize): v128 {
  return v128.load(UPPER_BYTES + (g << 4));
}

/** Scales as `put` takes them: in the relaxed build, whose numbers stand in the upper bytes, divided by 2^24, which is exact. */
// @ts-ignore: decorator
@inline
export function scalesFor(scales: v128): v128 {
  return FUSED ? f32x4.mul(scales, constant(OF_UPPER, 0)) : scales;
}

/** The first eight of d·q, then + m where there is a minimum, at out, the others at next. The plain build has no quick way from a byte to a lane. */
// @ts-ignore: decorator
@inline
export function put(withMinimum: bool, q: v128, p0: v128, p1: v128, p2: v128, p3: v128, d: v128, m: v128, out: usize, next: usize): void {
  if (FUSED) {
    putFour(withMinimum, i8x16.relaxed_swizzle(q, p0), d, m, out);
    putFour(withMinimum, i8x16.relaxed_swizzle(q, p1), d, m, out + 16);
    putFour(withMinimum, i8x16.relaxed_swizzle(q, p2), d, m, next);
    putFour(withMinimum, i8x16.relaxed_swizzle(q, p3), d, m, next + 16);
  } else {
    putEight(withMinimum, i16x8.extend_low_i8x16_s(q), d, m, out);
    putEight(withMinimum, i16x8.extend_high_i8x16_s(q), d, m, next);
  }
}

/** Eight words of 16 bits. */
// @ts-ignore: decorator
@inline
export function putEight(withMinimum: bool, q: v128, d: v128, m: v128, out: usize): void {
  putFour(withMinimum, i32x4.extend_low_i16x8_s(q), d, m, out);
  putFour(withMinimum, i32x4.extend_high_i16x8_s(q), d, m, out + 16);
}

// @ts-ignore: decorator
@inline
function putFour(withMinimum: bool, q: v128, d: v128, m: v128, out: usize): void {
  const number = f32x4.convert_i32x4_s(q);
  v128.store(out, withMinimum ? madd(d, number, m) : f32x4.mul(d, number));
}
