// Whole blocks of 32 elements to f32, eight at a time. The scales (and minima) of four blocks become f32 at once, in the lanes of a vector
// that turns from block to block. A value is scale·q, then plus the minimum, never fused. Called by index.ts.
import { halves } from '../halves';
import { constant, FUSED } from '../simd';
import { places, put, putEight, scalesFor } from './put';
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
  const p0 = places(0), p1 = places(1), p2 = places(2), p3 = places(3);
  for (let left = count; left > 0; left -= 4) {
    const w1 = left > 1 ? w + wStep : w;
    const w2 = left > 2 ? w1 + wStep : w1;
    const w3 = left > 3 ? w2 + wStep : w2;
    const heads = v128.load32_lane(w3, v128.load32_lane(w2, v128.load32_lane(w1, v128.load32_zero(w), 1), 2), 3);
    let scales = scalesFor(halves(v128.and(heads, constant(BYTES, 0))));
    let minima = hasMinimum(type) ? halves(i32x4.shr_u(heads, 16)) : scales;
    for (let i = min(left, 4); i > 0; i--, w += wStep, out += outStep) {
      const d = v128.shuffle<f32>(scales, scales, 0, 0, 0, 0);
      const m = v128.shuffle<f32>(minima, minima, 0, 0, 0, 0);
      const third = out + 2 * groupStep;
      if (type === Q8_0 && !FUSED) {
        putEight(false, v128.load8x8_s(w, 2), d, m, out);
        putEight(false, v128.load8x8_s(w, 10), d, m, out + groupStep);
        putEight(false, v128.load8x8_s(w, 18), d, m, third);
        putEight(false, v128.load8x8_s(w, 26), d, m, third + groupStep);
      } else {
        let first: v128, second: v128;
        if (type === Q8_0) {
          first = v128.load(w, 2);
          second = v128.load(w, 18);
        } else {
          const bytes = v128.load(w + nibblesAt(type));
          first = v128.and(bytes, low);
          second = v128.and(i16x8.shr_u(bytes, 4), low);
          if (hasFifth(type)) {
            const fifths = v128.load32_splat(w + nibblesAt(type) - 4);
            first = v128.or(first, fifth(fifths));
            second = v128.or(second, fifth(i32x4.shr_u(fifths, 16)));
          }
          if (!hasMinimum(type)) {
            first = i8x16.sub(first, offset);
            second = i8x16.sub(second, offset);
          }
        }
        put(hasMinimum(type), first, p0, p1, p2, p3, d, m, out, out + groupStep);
        put(hasMinimum(type), second, p0, p1, p2, p3, d, m, third, third + groupStep);
      }
      scales = v128.shuffle<f32>(scales, scales, 1, 2, 3, 0);
      if (hasMinimum(type)) minima = v128.shuffle<f32>(minima, minima, 1, 2, 3, 0);
    }
  }
}

/** The fifth bits of 16 elements, each in its place of a byte, out of the first two bytes. */
// @ts-ignore: decorator
@inline
export function fifth(bits: v128): v128 {
  const bit = v128.load(FIFTH_BIT);
  return v128.and(i8x16.eq(v128.and(i8x16.swizzle(bits, v128.load(FIFTH_BYTE)), bit), bit), constant(BYTES, 3));
}
