// Runs of 32 elements of blocks of 256 to f32, eight at a time. The scales and minima of a block are whole numbers of six bits (Q6_K: eight,
// one for 16 elements) times those of the block. A value is scale·q, then minus the minimum, never fused. Called by index.ts.
import { constant } from '../simd';
import { half, sixBits } from './edges';
import { put } from './small';
import { Q4_K, Q5_K, Q6_K } from './types';

/** A nibble of each byte, the lowest bit, the two lowest bits, what a number of Q6_K is above its value. */
const BYTES = memory.data<u32>([0x0f0f0f0f, 0x01010101, 0x03030303, 0x20202020]);

/** Run `run`, 0 to 7, of `count` blocks, `wStep` bytes apart; out as in `smallBlocks`. */
export function largeRuns(type: i32, count: i32, run: i32, w: usize, wStep: usize, out: usize, outStep: usize, groupStep: usize): void {
  if (type === Q4_K) for (; count > 0; count--, w += wStep, out += outStep) nibbleRun(Q4_K, run, w, out, groupStep);
  else if (type === Q5_K) for (; count > 0; count--, w += wStep, out += outStep) nibbleRun(Q5_K, run, w, out, groupStep);
  else for (; count > 0; count--, w += wStep, out += outStep) sixBitRun(run, w, out, groupStep);
}

/** Two runs lie in the nibbles of 32 bytes; run j has its fifth bits at bit j of 32 bytes. */
// @ts-ignore: decorator
@inline
function nibbleRun(type: i32, run: i32, block: usize, out: usize, groupStep: usize): void {
  const scale = half(block) * <f32>sixBits(block + 4, run, 0);
  const minimum = half(block + 2) * <f32>sixBits(block + 4, run, 4);
  const low = constant(BYTES, 0);
  const d = f32x4.splat(scale);
  const m = f32x4.splat(-minimum);
  const at = block + (type === Q5_K ? 48 : 16) + ((<usize>run >> 1) << 5);
  for (let part: usize = 0; part < 32; part += 16, out += 2 * groupStep) {
    const bytes = v128.load(at + part);
    let q = v128.and(run & 1 ? i16x8.shr_u(bytes, 4) : bytes, low);
    if (type === Q5_K) q = v128.or(q, i16x8.shl(v128.and(i16x8.shr_u(v128.load(block + part, 16), run), constant(BYTES, 1)), 4));
    put(true, i16x8.extend_low_i8x16_s(q), d, m, out);
    put(true, i16x8.extend_high_i8x16_s(q), d, m, out + groupStep);
  }
}

/** Four runs of half a block share 64 bytes of nibbles and 32 bytes of two bits each. */
// @ts-ignore: decorator
@inline
function sixBitRun(run: i32, block: usize, out: usize, groupStep: usize): void {
  const all = half(block + 208);
  const low = constant(BYTES, 0);
  const nibbles = block + (<usize>(((run >> 2) << 6) + ((run & 1) << 5)));
  const pairs = block + (<usize>((run >> 2) << 5));
  for (let part: usize = 0; part < 32; part += 16, out += 2 * groupStep) {
    const d = f32x4.splat(all * <f32>load<i8>(block + (<usize>run << 1) + (part >> 4), 192));
    const bytes = v128.load(nibbles + part);
    const high = v128.and(i16x8.shr_u(v128.load(pairs + part, 128), (run & 3) << 1), constant(BYTES, 2));
    const number = v128.or(v128.and(run & 2 ? i16x8.shr_u(bytes, 4) : bytes, low), i16x8.shl(high, 4));
    const q = i8x16.sub(number, constant(BYTES, 3));
    put(false, i16x8.extend_low_i8x16_s(q), d, d, out);
    put(false, i16x8.extend_high_i8x16_s(q), d, d, out + groupStep);
  }
}
