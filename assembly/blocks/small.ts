// Whole blocks of 32 elements to f32, eight at a time. The scales (and minima) of four blocks become f32 at once, in the lanes of a vector
// that turns from block to block. A value is scale·q, then plus the minimum, never fused. Called by index.ts.
import { halves } from '../halves';
import { constant } from '../simd';
import { hasFifth, hasMinimum, nibblesAt, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 } from './types';

/** A half in a lane, a nibble of each byte, what a nibble of Q4_0 and of Q5_0 is above its value, the fifth bit. */
const BYTES = memory.data<u32>([0xffff, 0x0f0f0f0f, 0x08080808, 0x10101010]);
/** Which byte of the fifth bits holds that of each element, and which bit of it. */
const FIFTH_BYTE = memory.data<u8>([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1], 16);
const FIFTH_BIT = memory.data<u8>([1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128], 16);

/**
 * `count` blocks, `wStep` bytes apart. Elements 8g to 8g + 7 of block i go to out + i·outStep + g·groupStep: along a row, or each group
 * into a panel of its own.
 */
export function smallBlocks(type: i32, count: i32, w: usize, wStep: usize, out: usize, outStep: usize, groupStep: usize): void {
  if (type === Q4_1) blocks(Q4_1, count, w, wStep, out, outStep, groupStep);
  else if (type === Q8_0) blocks(Q8_0, count, w, wStep, out, outStep, groupStep);
  else if (type === Q4_0) blocks(Q4_0, count, w, wStep, out, outStep, groupStep);
  else if (type === Q5_0) blocks(Q5_0, count, w, wStep, out, outStep, groupStep);
  else blocks(Q5_1, count, w, wStep, out, outStep, groupStep);
}

// @ts-ignore: decorator
@inline
function blocks(type: i32, count: i32, w: usize, wStep: usize, out: usize, outStep: usize, groupStep: usize): void {
  const low = constant(BYTES, 1);
  const offset = constant(BYTES, type === Q4_0 ? 2 : 3);
  for (let left = count; left > 0; left -= 4) {
    const w1 = left > 1 ? w + wStep : w;
    const w2 = left > 2 ? w1 + wStep : w1;
    const w3 = left > 3 ? w2 + wStep : w2;
    const heads = v128.load32_lane(w3, v128.load32_lane(w2, v128.load32_lane(w1, v128.load32_zero(w), 1), 2), 3);
    let scales = halves(v128.and(heads, constant(BYTES, 0)));
    let minima = hasMinimum(type) ? halves(i32x4.shr_u(heads, 16)) : scales;
    for (let i = min(left, 4); i > 0; i--, w += wStep, out += outStep) {
      const d = v128.shuffle<f32>(scales, scales, 0, 0, 0, 0);
      const m = v128.shuffle<f32>(minima, minima, 0, 0, 0, 0);
      if (type === Q8_0) {
        put(false, v128.load8x8_s(w, 2), d, m, out);
        put(false, v128.load8x8_s(w, 10), d, m, out + groupStep);
        put(false, v128.load8x8_s(w, 18), d, m, out + 2 * groupStep);
        put(false, v128.load8x8_s(w, 26), d, m, out + 3 * groupStep);
      } else {
        const bytes = v128.load(w + nibblesAt(type));
        let first = v128.and(bytes, low);
        let second = v128.and(i16x8.shr_u(bytes, 4), low);
        if (hasFifth(type)) {
          const fifths = v128.load32_splat(w + nibblesAt(type) - 4);
          first = v128.or(first, fifth(fifths));
          second = v128.or(second, fifth(i32x4.shr_u(fifths, 16)));
        }
        if (!hasMinimum(type)) {
          first = i8x16.sub(first, offset);
          second = i8x16.sub(second, offset);
        }
        put(hasMinimum(type), i16x8.extend_low_i8x16_s(first), d, m, out);
        put(hasMinimum(type), i16x8.extend_high_i8x16_s(first), d, m, out + groupStep);
        put(hasMinimum(type), i16x8.extend_low_i8x16_s(second), d, m, out + 2 * groupStep);
        put(hasMinimum(type), i16x8.extend_high_i8x16_s(second), d, m, out + 3 * groupStep);
      }
      scales = v128.shuffle<f32>(scales, scales, 1, 2, 3, 0);
      if (hasMinimum(type)) minima = v128.shuffle<f32>(minima, minima, 1, 2, 3, 0);
    }
  }
}

/** The fifth bits of 16 elements, each in its place of a byte, out of the first two bytes. */
// @ts-ignore: decorator
@inline
function fifth(bits: v128): v128 {
  const bit = v128.load(FIFTH_BIT);
  return v128.and(i8x16.eq(v128.and(i8x16.swizzle(bits, v128.load(FIFTH_BYTE)), bit), bit), constant(BYTES, 3));
}

/** Eight values of d·q, then + m. */
// @ts-ignore: decorator
@inline
export function put(withMinimum: bool, q: v128, d: v128, m: v128, out: usize): void {
  let first = f32x4.mul(d, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(q)));
  let second = f32x4.mul(d, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(q)));
  if (withMinimum) {
    first = f32x4.add(first, m);
    second = f32x4.add(second, m);
  }
  v128.store(out, first);
  v128.store(out, second, 16);
}
