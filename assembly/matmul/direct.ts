// A row times the rows of a weight in blocks, read as they lie: y[n] (+)= Σ_b d[n,b]·Σ q·x + m[n,b]·Σ x. The sums of a block are made
// before its scale and minimum come in, so results are near those of the other paths, not equal: each within (K+2)·2⁻²³·Σ|x|(|d·q|+|m|),
// q from 0 up and m the minimum or what the type subtracts times d; where d·q and m all but cancel, that is more than by |w|, of
// which random blocks stay within as well. Scales are finite, and x is 0 or from 2⁻¹¹⁰ up to 2¹⁰⁰
// in size: below, it loses bits, above, sums before their scale may overflow.
//
// Nibbles are masked where they stand: the four bytes of a lane hold eight of them, as multiples of 1, 16, 256 and 4096, twice. x is
// laid out so that the lanes of its vectors meet those of the nibbles, and divided by these powers. Some rows of the
// weight go together, as far apart as they can be, so that each is one long stream; each row's arithmetic is its own, so bits do
// not depend on the cut. Where there are fewer rows than go together, the first stands in for the others.
import { blockBytes, Q4_0, Q4_1, Q8_0 } from '../blocks/types';
import { constant, fourByFour, FUSED, hsum, madd } from '../simd';
import { layOutRuns, rowSum, sumsBytes } from './direct-runs';

/** Rows at a time: more of them spill where loads are lifted to the top of a loop (bench/variants). */
const ROWS: i32 = FUSED ? 4 : 2;

/** Nibbles of the lower two bytes of a lane; sign, exponent and fraction of a half moved to those of an f32; the upper two bytes. */
const MASKS = memory.data<u32>([0xf, 0xf0, 0xf00, 0xf000, 0x8fffe000, 0xffff0000]);
/** What a half moved so is to be multiplied with: 2^112, and 2^96 for numbers that stand in the upper two bytes; what Q4_0 subtracts. */
const POWERS = memory.data<f32>([5.192296858534828e33, 7.922816251426434e28, -8]);
/** 1, 1/16, 1/256, 1/4096 */
const PARTS = memory.data<f32>([1, 0.0625, 0.00390625, 0.000244140625]);

/** Whether nibbles or bytes are masked where they stand; the other types go row by row (direct-runs.ts). */
// @ts-ignore: decorator
@inline
function inPlace(type: i32): bool {
  return type === Q4_1 || type === Q4_0 || type === Q8_0;
}

/** Bytes of scratch for rows of K elements: x laid out, and its sums. */
export function directScratch(type: i32, K: i32): usize {
  return ((<usize>K) << 2) + (inPlace(type) ? (((<usize>K >> 5) << 2) + 15) & ~15 : sumsBytes(type, K));
}

/** y[M,N] (+)= x[M,K]·Wᵀ for whole blocks of K; strides in bytes. */
export function directProduct(type: i32, M: i32, N: i32, K: i32, x: usize, xStep: usize, w: usize, wStep: usize, add: i32, y: usize, yStep: usize, scratch: usize): void {
  const sums = scratch + ((<usize>K) << 2);
  for (; M > 0; M--, x += xStep, y += yStep) {
    if (!inPlace(type)) {
      runRows(type, N, K, x, w, wStep, add, y, scratch, sums);
      continue;
    }
    if (type === Q8_0) layOutPairs(K, x, scratch);
    else layOutNibbles(K, x, scratch, sums);
    const part = (N + ROWS - 1) / ROWS;
    for (let n = 0; n < part; n++) {
      if (type === Q8_0) byteRows(K, N, n, part, scratch, w, wStep, add, y);
      else if (type === Q4_1) nibbleRows(Q4_1, K, N, n, part, scratch, sums, w, wStep, add, y);
      else nibbleRows(Q4_0, K, N, n, part, scratch, sums, w, wStep, add, y);
    }
  }
}

function runRows(type: i32, N: i32, K: i32, x: usize, w: usize, wStep: usize, add: i32, y: usize, scratch: usize, sums: usize): void {
  layOutRuns(type, K, x, scratch, sums);
  for (let n = 0; n < N; n++, w += wStep, y += 4) {
    const v = rowSum(type, K, scratch, sums, w);
    store<f32>(y, add ? load<f32>(y) + v : v);
  }
}

/** Vectors of a block: elements c, c + 4, c + 8 and c + 12 of its first half, then of its second, for c from 0 to 3. */
function layOutNibbles(K: i32, x: usize, out: usize, sums: usize): void {
  for (let k = 0; k < K; k += 32, x += 128, out += 128, sums += 4) {
    turn(x, 0, out);
    turn(x + 64, 1, out + 16);
    let total = f32x4.add(v128.load(x), v128.load(x, 64));
    for (let at: usize = 16; at < 64; at += 16) total = f32x4.add(total, f32x4.add(v128.load(x + at), v128.load(x + at, 64)));
    store<f32>(sums, hsum(total));
  }
}

function turn(x: usize, half: usize, out: usize): void {
  fourByFour(v128.load(x), v128.load(x, 16), v128.load(x, 32), v128.load(x, 48), 0, out, 32);
  const even = constant(PARTS, half);
  const odd = constant(PARTS, half + 2);
  v128.store(out, f32x4.mul(v128.load(out), even));
  v128.store(out, f32x4.mul(v128.load(out, 32), odd), 32);
  v128.store(out, f32x4.mul(v128.load(out, 64), even), 64);
  v128.store(out, f32x4.mul(v128.load(out, 96), odd), 96);
}

/** The even ones of eight elements, then the odd ones. */
function layOutPairs(K: i32, x: usize, out: usize): void {
  for (let k = 0; k < K; k += 8, x += 32, out += 32) {
    const low = v128.load(x);
    const high = v128.load(x, 16);
    v128.store(out, v128.shuffle<f32>(low, high, 0, 2, 4, 6));
    v128.store(out, v128.shuffle<f32>(low, high, 1, 3, 5, 7), 16);
  }
}

// @ts-ignore: decorator
@inline
function splat(v: v128, lane: i32): v128 {
  return lane === 0 ? v128.shuffle<f32>(v, v, 0, 0, 0, 0) : lane === 1 ? v128.shuffle<f32>(v, v, 1, 1, 1, 1) : lane === 2 ? v128.shuffle<f32>(v, v, 2, 2, 2, 2) : v128.shuffle<f32>(v, v, 3, 3, 3, 3);
}

/** The first four bytes of a block of each row. */
// @ts-ignore: decorator
@inline
function heads(w0: usize, w1: usize, w2: usize, w3: usize): v128 {
  const two = v128.load32_lane(w1, v128.load32_zero(w0), 1);
  return ROWS === 2 ? two : v128.load32_lane(w3, v128.load32_lane(w2, two, 2), 3);
}

/** Halves in the upper halves of lanes, times 2^112 or what stands for it: right for subnormal ones, not for infinity and NaN. */
// @ts-ignore: decorator
@inline
function scalesOf(upper: v128, power: usize): v128 {
  return f32x4.mul(v128.and(i32x4.shr_s(upper, 3), constant(MASKS, 4)), constant(POWERS, power));
}

/** acc + Σ of one vector of nibbles times one of x */
// @ts-ignore: decorator
@inline
function addNibbles(bytes: v128, mask: v128, x: v128, sum: v128): v128 {
  return madd(f32x4.convert_i32x4_s(v128.and(bytes, mask)), x, sum);
}

// @ts-ignore: decorator
@inline
function firstNibbles(bytes: v128, mask: v128, x: v128): v128 {
  return f32x4.mul(f32x4.convert_i32x4_s(v128.and(bytes, mask)), x);
}

/** Rows n, n + part and so on. */
// @ts-ignore: decorator
@inline
function nibbleRows(type: i32, K: i32, N: i32, n: i32, part: i32, x: usize, sums: usize, w: usize, wStep: usize, add: i32, y: usize): void {
  const bytes = <usize>blockBytes(type);
  const head: usize = type === Q4_1 ? 4 : 2;
  const n1 = nextRow(n, part, N);
  const n2 = nextRow(n, 2 * part, N);
  const n3 = nextRow(n, 3 * part, N);
  let w0 = w + <usize>n * wStep;
  let w1 = w + <usize>n1 * wStep;
  let w2 = w + <usize>n2 * wStep;
  let w3 = w + <usize>n3 * wStep;
  let t0 = f32x4.splat(0), t1 = t0, t2 = t0, t3 = t0, minima = t0;
  for (const end = x + ((<usize>K) << 2); x < end; sums += 4) {
    const words = heads(w0, w1, w2, w3);
    const d = scalesOf(i32x4.shl(words, 16), 0);
    minima = madd(type === Q4_1 ? scalesOf(words, 0) : f32x4.mul(d, constant(POWERS, 2)), constant(sums, 0), minima);
    let b0 = v128.load(w0 + head);
    let b1 = v128.load(w1 + head);
    let b2 = ROWS === 4 ? v128.load(w2 + head) : b0;
    let b3 = ROWS === 4 ? v128.load(w3 + head) : b0;
    const d0 = splat(d, 0);
    const d1 = splat(d, 1);
    const d2 = ROWS === 4 ? splat(d, 2) : d;
    const d3 = ROWS === 4 ? splat(d, 3) : d;
    for (const stop = x + 128; x < stop; x += 64) {
      let v = v128.load(x);
      let mask = constant(MASKS, 0);
      let s0 = firstNibbles(b0, mask, v);
      let s1 = firstNibbles(b1, mask, v);
      let s2 = ROWS === 4 ? firstNibbles(b2, mask, v) : s0;
      let s3 = ROWS === 4 ? firstNibbles(b3, mask, v) : s0;
      v = v128.load(x, 16);
      mask = constant(MASKS, 1);
      s0 = addNibbles(b0, mask, v, s0);
      s1 = addNibbles(b1, mask, v, s1);
      if (ROWS === 4) s2 = addNibbles(b2, mask, v, s2);
      if (ROWS === 4) s3 = addNibbles(b3, mask, v, s3);
      v = v128.load(x, 32);
      mask = constant(MASKS, 2);
      s0 = addNibbles(b0, mask, v, s0);
      s1 = addNibbles(b1, mask, v, s1);
      if (ROWS === 4) s2 = addNibbles(b2, mask, v, s2);
      if (ROWS === 4) s3 = addNibbles(b3, mask, v, s3);
      v = v128.load(x, 48);
      mask = constant(MASKS, 3);
      t0 = madd(d0, addNibbles(b0, mask, v, s0), t0);
      t1 = madd(d1, addNibbles(b1, mask, v, s1), t1);
      b0 = i32x4.shr_u(b0, 16);
      b1 = i32x4.shr_u(b1, 16);
      if (ROWS === 4) {
        t2 = madd(d2, addNibbles(b2, mask, v, s2), t2);
        t3 = madd(d3, addNibbles(b3, mask, v, s3), t3);
        b2 = i32x4.shr_u(b2, 16);
        b3 = i32x4.shr_u(b3, 16);
      }
    }
    w0 += bytes;
    w1 += bytes;
    w2 += bytes;
    w3 += bytes;
  }
  putRows(add, hsum(t0) + f32x4.extract_lane(minima, 0), hsum(t1) + f32x4.extract_lane(minima, 1), hsum(t2) + f32x4.extract_lane(minima, 2), hsum(t3) + f32x4.extract_lane(minima, 3), y, n, n1, n2, n3);
}

/** Rows n, n + part and so on of bytes: eight elements a turn, the even ones and the odd ones as multiples of 2^16. */
function byteRows(K: i32, N: i32, n: i32, part: i32, x: usize, w: usize, wStep: usize, add: i32, y: usize): void {
  const n1 = nextRow(n, part, N);
  const n2 = nextRow(n, 2 * part, N);
  const n3 = nextRow(n, 3 * part, N);
  let w0 = w + <usize>n * wStep;
  let w1 = w + <usize>n1 * wStep;
  let w2 = w + <usize>n2 * wStep;
  let w3 = w + <usize>n3 * wStep;
  let t0 = f32x4.splat(0), t1 = t0, t2 = t0, t3 = t0;
  const upper = constant(MASKS, 5);
  for (const end = x + ((<usize>K) << 2); x < end; ) {
    const d = scalesOf(i32x4.shl(heads(w0, w1, w2, w3), 16), 1);
    let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0;
    for (const stop = x + 128; x < stop; x += 32, w0 += 8, w1 += 8, w2 += 8, w3 += 8) {
      const even = v128.load(x);
      const odd = v128.load(x, 16);
      s0 = addBytes(v128.load8x8_s(w0, 2), upper, even, odd, s0);
      s1 = addBytes(v128.load8x8_s(w1, 2), upper, even, odd, s1);
      if (ROWS === 4) s2 = addBytes(v128.load8x8_s(w2, 2), upper, even, odd, s2);
      if (ROWS === 4) s3 = addBytes(v128.load8x8_s(w3, 2), upper, even, odd, s3);
    }
    t0 = madd(splat(d, 0), s0, t0);
    t1 = madd(splat(d, 1), s1, t1);
    if (ROWS === 4) t2 = madd(splat(d, 2), s2, t2);
    if (ROWS === 4) t3 = madd(splat(d, 3), s3, t3);
    w0 += 2;
    w1 += 2;
    w2 += 2;
    w3 += 2;
  }
  putRows(add, hsum(t0), hsum(t1), hsum(t2), hsum(t3), y, n, n1, n2, n3);
}

// @ts-ignore: decorator
@inline
function addBytes(q: v128, upper: v128, even: v128, odd: v128, sum: v128): v128 {
  return madd(f32x4.convert_i32x4_s(v128.and(q, upper)), odd, madd(f32x4.convert_i32x4_s(i32x4.shl(q, 16)), even, sum));
}

/** Row n + further, or n again. */
// @ts-ignore: decorator
@inline
function nextRow(n: i32, further: i32, N: i32): i32 {
  return n + further < N ? n + further : n;
}

/** y (+)= the sums of the rows; all of y is read before any is written, since rows may be the same one. */
// @ts-ignore: decorator
@inline
function putRows(add: i32, v0: f32, v1: f32, v2: f32, v3: f32, y: usize, n: i32, n1: i32, n2: i32, n3: i32): void {
  const y0 = y + ((<usize>n) << 2);
  const y1 = y + ((<usize>n1) << 2);
  const y2 = y + ((<usize>n2) << 2);
  const y3 = y + ((<usize>n3) << 2);
  if (add) {
    v0 += load<f32>(y0);
    v1 += load<f32>(y1);
    if (ROWS === 4) v2 += load<f32>(y2);
    if (ROWS === 4) v3 += load<f32>(y3);
  }
  if (ROWS === 4) store<f32>(y3, v3);
  if (ROWS === 4) store<f32>(y2, v2);
  store<f32>(y1, v1);
  store<f32>(y0, v0);
}
