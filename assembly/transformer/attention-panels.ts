// What the three kernels of attention share. All of their products are of the packed tiles: MR rows by a panel of eight columns, and the
// panels stand in scratch as the tiles read and write them: eight floats a step, 32 bytes. In a panel of queries the eight lanes are
// rows of one key head in the order of position, then of the query heads that share it: row r is position r div group, head
// r mod group. So the softmax runs down the panel, eight rows at once, without a sum across lanes, and a panel of probabilities is
// already what the next tile reads.
import { FUSED, fourByFour, madd } from '../simd';
import { packRows, packRowsTransposed } from '../matmul/pack';
import { tile } from '../matmul/tiles';

/** Rows of the widest tile that V8 keeps in registers (bench/variants). */
export const MR: i32 = FUSED ? 6 : 5;
/** Steps that one chain of multiply-adds takes; longer sums begin anew at whole multiples of it, whatever the panel. */
const CHAIN: i32 = 512;
/** Bytes of a step of a panel. */
export const STEP: usize = 32;
/** Lanes of a panel. */
export const LANES: i32 = 8;

/** First key that the query at `t` sees: `start` of a packed row, and the window's edge. */
// @ts-ignore: decorator
@inline
export function firstKey(starts: usize, t: i32, offset: i32, window: i32): i32 {
  const start = starts ? load<i32>(starts + ((<usize>t) << 2)) : 0;
  return window > 0 ? max(start, offset + t - window + 1) : start;
}

/** Rows of a matrix as tiles of MR of them, from row 0 of `a` on: A of a product over its columns. */
export function packTiles(rows: i32, D: i32, a: usize, aStep: usize, out: usize): void {
  for (let i = 0; i < rows; i += MR) packRows(min(MR, rows - i), D, a + <usize>i * aStep, aStep, out + ((<usize>(i * D)) << 2));
}

/** The same matrix as tiles of MR columns: A of a product over its rows. */
export function packTilesTransposed(rows: i32, D: i32, a: usize, aStep: usize, out: usize): void {
  for (let d = 0; d < D; d += MR) packRowsTransposed(min(MR, D - d), rows, a + ((<usize>d) << 2), aStep, out + ((<usize>d * <usize>rows) << 2));
}

/** c[i,:] = Σ_d a[i,d]·b[d,:] for the rows from `from`, a multiple of MR, to below `to` of `rows` packed ones; c begins at row `from`. */
export function overColumns(from: i32, to: i32, rows: i32, D: i32, a: usize, b: usize, c: usize): void {
  for (let i = from; i < to; i += MR, c += <usize>MR * STEP) tile(min(MR, rows - i), D, a + ((<usize>(i * D)) << 2), b, STEP, 0, c, STEP);
}

/**
 * c[d,:] = Σ_i a[i,d]·b[i,:] over the rows from `from` to below `to` of `rows` packed ones; b begins at row `from`. `origin` is what row 0
 * is the number of: chains begin at whole multiples of it.
 */
export function overRows(from: i32, to: i32, rows: i32, origin: i32, D: i32, a: usize, b: usize, c: usize): void {
  for (let i = from; i < to; ) {
    const next = chainEnd(i, to, origin);
    const at = b + <usize>(i - from) * STEP;
    for (let d = 0; d < D; d += MR) {
      const count = min(MR, D - d);
      tile(count, next - i, a + ((<usize>d * <usize>rows + <usize>(i * count)) << 2), at, STEP, i > from ? 1 : 0, c + <usize>d * STEP, STEP);
    }
    i = next;
  }
}

/**
 * The same two products of a panel that is alone over its keys, where packing would cost more than the tiles: eight rows of A as it lies by
 * four lanes, `halves` times. An element's sum is that of the packed tiles, so are its bits. Element i of step s of A is at a + i·aRow + s·aStep.
 */
// @ts-ignore: decorator
@inline
function inPlace(rows: i32, depth: i32, a: usize, aRow: usize, aStep: usize, halves: i32, b: usize, accumulate: i32, c: usize): void {
  for (let half = 0; half < halves; half++, b += 16, c += 16) {
    let i = 0;
    for (; i + 8 <= rows; i += 8) eightByFour(depth, a + <usize>i * aRow, aRow, aStep, b, accumulate, c + <usize>i * STEP);
    for (; i < rows; i++) {
      const to = c + <usize>i * STEP;
      let sum = f32x4.splat(0);
      let from = a + <usize>i * aRow;
      for (let s = b, end = b + <usize>depth * STEP; s < end; s += STEP, from += aStep) sum = madd(v128.load32_splat(from), v128.load(s), sum);
      v128.store(to, accumulate ? f32x4.add(v128.load(to), sum) : sum);
    }
  }
}

// @ts-ignore: decorator
@inline
function eightByFour(depth: i32, a: usize, aRow: usize, aStep: usize, b: usize, accumulate: i32, c: usize): void {
  let c0 = f32x4.splat(0);
  let c1 = f32x4.splat(0);
  let c2 = f32x4.splat(0);
  let c3 = f32x4.splat(0);
  let c4 = f32x4.splat(0);
  let c5 = f32x4.splat(0);
  let c6 = f32x4.splat(0);
  let c7 = f32x4.splat(0);
  for (const end = b + <usize>depth * STEP; b < end; b += STEP, a += aStep) {
    const v = v128.load(b);
    c0 = madd(v128.load32_splat(a), v, c0);
    c1 = madd(v128.load32_splat(a + aRow), v, c1);
    c2 = madd(v128.load32_splat(a + 2 * aRow), v, c2);
    c3 = madd(v128.load32_splat(a + 3 * aRow), v, c3);
    c4 = madd(v128.load32_splat(a + 4 * aRow), v, c4);
    c5 = madd(v128.load32_splat(a + 5 * aRow), v, c5);
    c6 = madd(v128.load32_splat(a + 6 * aRow), v, c6);
    c7 = madd(v128.load32_splat(a + 7 * aRow), v, c7);
  }
  put(c, c0, accumulate);
  put(c + STEP, c1, accumulate);
  put(c + 2 * STEP, c2, accumulate);
  put(c + 3 * STEP, c3, accumulate);
  put(c + 4 * STEP, c4, accumulate);
  put(c + 5 * STEP, c5, accumulate);
  put(c + 6 * STEP, c6, accumulate);
  put(c + 7 * STEP, c7, accumulate);
}

/** c (+)= v */
// @ts-ignore: decorator
@inline
function put(c: usize, v: v128, accumulate: i32): void {
  v128.store(c, accumulate ? f32x4.add(v128.load(c), v) : v);
}

/** `overColumns` of the rows from `from` to below `to` of a matrix as it lies. */
export function overColumnsInPlace(from: i32, to: i32, D: i32, a: usize, aStep: usize, halves: i32, b: usize, c: usize): void {
  inPlace(to - from, D, a + <usize>from * aStep, aStep, 4, halves, b, 0, c);
}

/** `overRows` of the rows from `from` to below `to` of a matrix as it lies. */
export function overRowsInPlace(from: i32, to: i32, origin: i32, D: i32, a: usize, aStep: usize, halves: i32, b: usize, c: usize): void {
  for (let i = from; i < to; ) {
    const next = chainEnd(i, to, origin);
    inPlace(D, next - i, a + <usize>i * aStep, 4, aStep, halves, b + <usize>(i - from) * STEP, i > from ? 1 : 0, c);
    i = next;
  }
}

/** Where the chain of multiply-adds that takes row i ends: chains begin at whole multiples of CHAIN, counted from row -origin. */
// @ts-ignore: decorator
@inline
function chainEnd(i: i32, to: i32, origin: i32): i32 {
  return min(to, i + CHAIN - ((origin + i) & (CHAIN - 1)));
}

/** out[d, lane] = s·element d of the lane's row; `at` holds the eight rows' addresses. */
export function gather(D: i32, s: f32, at: usize, out: usize): void {
  const factor = f32x4.splat(s);
  const whole = D & ~3;
  for (let half: usize = 0; half < 2; half++, at += 16, out += 16) {
    const a = <usize>load<u32>(at);
    const b = <usize>load<u32>(at, 4);
    const c = <usize>load<u32>(at, 8);
    const e = <usize>load<u32>(at, 12);
    let to = out;
    let d: usize = 0;
    for (; d < (<usize>whole) << 2; d += 16, to += 4 * STEP) {
      fourByFour(f32x4.mul(factor, v128.load(a + d)), f32x4.mul(factor, v128.load(b + d)), f32x4.mul(factor, v128.load(c + d)), f32x4.mul(factor, v128.load(e + d)), 0, to, STEP);
    }
    for (; d < (<usize>D) << 2; d += 4, to += STEP) {
      store<f32>(to, s * load<f32>(a + d));
      store<f32>(to, s * load<f32>(b + d), 4);
      store<f32>(to, s * load<f32>(c + d), 8);
      store<f32>(to, s * load<f32>(e + d), 12);
    }
  }
}

/** Element d of the lane's row (+)= factors[lane]·panel[d, lane], for the first `lanes` of them; `spare` is a panel's step of scratch. */
export function scatter(D: i32, lanes: i32, panel: usize, factors: usize, accumulate: i32, at: usize, spare: usize): void {
  const whole = D & ~3;
  for (let half = 0; half < lanes; half += 4, at += 16, panel += 16, factors += 16) {
    const count = min(4, lanes - half);
    const factor = v128.load(factors);
    let from = panel;
    let d: usize = 0;
    for (; d < (<usize>whole) << 2; d += 16, from += 4 * STEP) {
      fourByFour(f32x4.mul(factor, v128.load(from)), f32x4.mul(factor, v128.load(from, 32)), f32x4.mul(factor, v128.load(from, 64)), f32x4.mul(factor, v128.load(from, 96)), 0, spare, 16);
      for (let lane: usize = 0; lane < <usize>count; lane++) {
        const to = <usize>load<u32>(at + (lane << 2)) + d;
        const v = v128.load(spare + (lane << 4));
        v128.store(to, accumulate ? f32x4.add(v128.load(to), v) : v);
      }
    }
    for (; d < (<usize>D) << 2; d += 4, from += STEP) {
      for (let lane: usize = 0; lane < <usize>count; lane++) {
        const to = <usize>load<u32>(at + (lane << 2)) + d;
        const v = load<f32>(from + (lane << 2)) * load<f32>(factors + (lane << 2));
        store<f32>(to, accumulate ? load<f32>(to) + v : v);
      }
    }
  }
}
