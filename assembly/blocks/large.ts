// Runs of 32 elements of blocks of 256 to f32. The scales and minima of a block are whole numbers of six bits (Q6_K: eight, one for 16
// elements) times those of the block; those of four blocks are computed at once, in the lanes of a vector that turns from block to
// block. A value is scale·q, then minus the minimum. Called by index.ts; direct-runs.ts takes scales and numbers.
import { halves } from '../halves';
import { constant } from '../simd';
import { places, put, scalesFor } from './put';
import { Q4_K, Q5_K, Q6_K } from './types';

/** A nibble of each byte, the lowest bit, the two lowest bits, what a number of Q6_K is above its value. */
const BYTES = memory.data<u32>([0x0f0f0f0f, 0x01010101, 0x03030303, 0x20202020]);
/** Of a lane: a half, six bits, four. */
const LANES = memory.data<u32>([0xffff, 63, 15]);

/** Run `run`, 0 to 7, of `count` blocks, `wStep` bytes apart; out as in `smallBlocks`. */
export function largeRuns(type: i32, count: i32, run: i32, w: usize, wStep: usize, out: usize, outStep: usize, groupStep: usize): void {
  for (; count > 0; count -= 4, w += 4 * wStep, out += 4 * outStep) {
    const blocks = min(count, 4);
    if (type === Q4_K) nibbleRuns(Q4_K, blocks, run, w, wStep, out, outStep, groupStep);
    else if (type === Q5_K) nibbleRuns(Q5_K, blocks, run, w, wStep, out, outStep, groupStep);
    else sixBitRuns(blocks, run, w, wStep, out, outStep, groupStep);
  }
}

/** Words at `at` of up to four blocks. */
// @ts-ignore: decorator
@inline
function words(at: usize, w1: usize, w2: usize, w3: usize): v128 {
  return v128.load32_lane(at + w3, v128.load32_lane(at + w2, v128.load32_lane(at + w1, v128.load32_zero(at), 1), 2), 3);
}

/** Bytes at `at` of up to four blocks, each in the lowest byte of a lane. */
// @ts-ignore: decorator
@inline
function bytesOf(at: usize, w1: usize, w2: usize, w3: usize): v128 {
  return v128.load8_lane(at + w3, v128.load8_lane(at + w2, v128.load8_lane(at + w1, v128.load8_lane(at, i32x4.splat(0), 0), 4), 8), 12);
}

/** The six bits of run j of four blocks: the first four runs' lie whole, the others' in two parts. */
// @ts-ignore: decorator
@inline
function sixBits(run: i32, whole: v128, pairs: v128): v128 {
  if (run < 4) return v128.and(whole, constant(LANES, 1));
  return v128.or(v128.and(pairs, constant(LANES, 2)), i32x4.shl(i32x4.shr_u(whole, 6), 4));
}

/** Scales of run j of up to four blocks of Q4_K or Q5_K; w1 to w3 are how far the others lie behind the first. */
// @ts-ignore: decorator
@inline
export function nibbleScales(run: i32, w: usize, w1: usize, w2: usize, w3: usize): v128 {
  const six = w + 4 + <usize>(run & 3);
  const whole = sixBits(run, bytesOf(six, w1, w2, w3), bytesOf(six + 8, w1, w2, w3));
  return f32x4.mul(halves(v128.and(words(w, w1, w2, w3), constant(LANES, 0))), f32x4.convert_i32x4_s(whole));
}

/** What is added: the minima, negated. */
// @ts-ignore: decorator
@inline
export function nibbleMinima(run: i32, w: usize, w1: usize, w2: usize, w3: usize): v128 {
  const six = w + 8 + <usize>(run & 3);
  const whole = sixBits(run, bytesOf(six, w1, w2, w3), i32x4.shr_u(bytesOf(six + 4, w1, w2, w3), 4));
  return f32x4.neg(f32x4.mul(halves(i32x4.shr_u(words(w, w1, w2, w3), 16)), f32x4.convert_i32x4_s(whole)));
}

/** 16 numbers of a run, from byte `part` (0 or 16) on. Two runs lie in the nibbles of 32 bytes; run j has its fifth bits at bit j of 32 bytes. */
// @ts-ignore: decorator
@inline
export function nibbleNumbers(type: i32, run: i32, w: usize, part: usize): v128 {
  const bytes = v128.load(w + (type === Q5_K ? 48 : 16) + ((<usize>run >> 1) << 5) + part);
  const low = v128.and(run & 1 ? i16x8.shr_u(bytes, 4) : bytes, constant(BYTES, 0));
  if (type !== Q5_K) return low;
  return v128.or(low, i16x8.shl(v128.and(i16x8.shr_u(v128.load(w + part, 16), run), constant(BYTES, 1)), 4));
}

/** Scales of 16 elements of up to four blocks of Q6_K: those from byte `part` of the run on. */
// @ts-ignore: decorator
@inline
export function sixBitScales(run: i32, part: usize, w: usize, w1: usize, w2: usize, w3: usize): v128 {
  // The halves end the blocks: no word is read there.
  const all = halves(v128.or(bytesOf(w + 208, w1, w2, w3), i32x4.shl(bytesOf(w + 209, w1, w2, w3), 8)));
  const bytes = bytesOf(w + 192 + (<usize>run << 1) + (part >> 4), w1, w2, w3);
  return f32x4.mul(all, f32x4.convert_i32x4_s(i32x4.shr_s(i32x4.shl(bytes, 24), 24)));
}

/** 16 numbers of a run of Q6_K, 32 above their values. Four runs of half a block share 64 bytes of nibbles and 32 bytes of two bits each. */
// @ts-ignore: decorator
@inline
export function sixBitNumbers(run: i32, w: usize, part: usize): v128 {
  const bytes = v128.load(w + (<usize>(((run >> 2) << 6) + ((run & 1) << 5))) + part);
  const high = v128.and(i16x8.shr_u(v128.load(w + 128 + (<usize>((run >> 2) << 5)) + part), (run & 3) << 1), constant(BYTES, 2));
  return v128.or(v128.and(run & 2 ? i16x8.shr_u(bytes, 4) : bytes, constant(BYTES, 0)), i16x8.shl(high, 4));
}

// @ts-ignore: decorator
@inline
function nibbleRuns(type: i32, count: i32, run: i32, w: usize, wStep: usize, out: usize, outStep: usize, groupStep: usize): void {
  const w1 = count > 1 ? wStep : 0;
  const w2 = count > 2 ? w1 + wStep : w1;
  const w3 = count > 3 ? w2 + wStep : w2;
  let scales = scalesFor(nibbleScales(run, w, w1, w2, w3));
  let minima = nibbleMinima(run, w, w1, w2, w3);
  const p0 = places(0), p1 = places(1), p2 = places(2), p3 = places(3);
  for (let i = 0; i < count; i++, w += wStep, out += outStep) {
    const d = v128.shuffle<f32>(scales, scales, 0, 0, 0, 0);
    const m = v128.shuffle<f32>(minima, minima, 0, 0, 0, 0);
    for (let part: usize = 0, to = out; part < 32; part += 16, to += 2 * groupStep) {
      put(true, nibbleNumbers(type, run, w, part), p0, p1, p2, p3, d, m, to, to + groupStep);
    }
    scales = v128.shuffle<f32>(scales, scales, 1, 2, 3, 0);
    minima = v128.shuffle<f32>(minima, minima, 1, 2, 3, 0);
  }
}

// @ts-ignore: decorator
@inline
function sixBitRuns(count: i32, run: i32, w: usize, wStep: usize, out: usize, outStep: usize, groupStep: usize): void {
  const w1 = count > 1 ? wStep : 0;
  const w2 = count > 2 ? w1 + wStep : w1;
  const w3 = count > 3 ? w2 + wStep : w2;
  let first = scalesFor(sixBitScales(run, 0, w, w1, w2, w3));
  let second = scalesFor(sixBitScales(run, 16, w, w1, w2, w3));
  const p0 = places(0), p1 = places(1), p2 = places(2), p3 = places(3);
  for (let i = 0; i < count; i++, w += wStep, out += outStep) {
    let d = v128.shuffle<f32>(first, first, 0, 0, 0, 0);
    for (let part: usize = 0, to = out; part < 32; part += 16, to += 2 * groupStep) {
      put(false, i8x16.sub(sixBitNumbers(run, w, part), constant(BYTES, 3)), p0, p1, p2, p3, d, d, to, to + groupStep);
      d = v128.shuffle<f32>(second, second, 0, 0, 0, 0);
    }
    first = v128.shuffle<f32>(first, first, 1, 2, 3, 0);
    second = v128.shuffle<f32>(second, second, 1, 2, 3, 0);
  }
}
