// Sums over the middle dimension of x[outer,n,inner], and the way back. Sixteen or four columns at a time; along n, four f32 lanes over at
// most 1024 elements, those sums in f64. With inner 1 a row is summed by `sum`.
import { sizes, vector } from '../checks';
import { promoteHigh } from '../simd';
import { sum } from './reduce';

const BLOCK: i32 = 1024;

/** y[outer,inner] = s·Σ over n of x[outer,n,inner] */
export function sumMiddle(outer: i32, n: i32, inner: i32, s: f64, x: usize, y: usize): void {
  if (!ASC_NO_ASSERT) {
    sizes('sumMiddle: outer, n, inner', outer, n, inner);
    vector('sumMiddle: x', x, outer * n * inner);
    vector('sumMiddle: y', y, outer * inner);
  }
  const line = (<usize>inner) << 2;
  const plane = <usize>n * line;
  for (let o = 0; o < outer; o++, x += plane) {
    if (inner === 1) {
      store<f32>(y, <f32>(s * sum(n, x)));
      y += 4;
      continue;
    }
    let at: usize = 0;
    for (; at + 64 <= line; at += 64, y += 64) sumSixteen(n, line, s, x + at, y);
    for (; at + 16 <= line; at += 16, y += 16) sumFour(n, line, s, x + at, y);
    for (; at < line; at += 4, y += 4) {
      let total: f64 = 0;
      let from = x + at;
      for (let start = 0; start < n; start += BLOCK) {
        let a: f32 = 0;
        for (let i = start, stop = min<i32>(n, start + BLOCK); i < stop; i++, from += line) a += load<f32>(from);
        total += a;
      }
      store<f32>(y, <f32>(total * s));
    }
  }
}

/** Four columns of a plane. */
function sumFour(n: i32, line: usize, s: f64, x: usize, y: usize): void {
  let low = f64x2.splat(0);
  let high = low;
  for (let start = 0; start < n; start += BLOCK) {
    let a = f32x4.splat(0);
    for (let i = start, stop = min<i32>(n, start + BLOCK); i < stop; i++, x += line) a = f32x4.add(a, v128.load(x));
    low = f64x2.add(low, f64x2.promote_low_f32x4(a));
    high = f64x2.add(high, promoteHigh(a));
  }
  putScaled(low, high, s, y);
}

/** Sixteen columns of a plane, a line of the cache, each summed in the order of sumFour. */
function sumSixteen(n: i32, line: usize, s: f64, x: usize, y: usize): void {
  let low0 = f64x2.splat(0), low1 = low0, low2 = low0, low3 = low0;
  let high0 = low0, high1 = low0, high2 = low0, high3 = low0;
  for (let start = 0; start < n; start += BLOCK) {
    let a = f32x4.splat(0), b = a, c = a, d = a;
    for (let i = start, stop = min<i32>(n, start + BLOCK); i < stop; i++, x += line) {
      a = f32x4.add(a, v128.load(x));
      b = f32x4.add(b, v128.load(x, 16));
      c = f32x4.add(c, v128.load(x, 32));
      d = f32x4.add(d, v128.load(x, 48));
    }
    low0 = f64x2.add(low0, f64x2.promote_low_f32x4(a));
    low1 = f64x2.add(low1, f64x2.promote_low_f32x4(b));
    low2 = f64x2.add(low2, f64x2.promote_low_f32x4(c));
    low3 = f64x2.add(low3, f64x2.promote_low_f32x4(d));
    high0 = f64x2.add(high0, promoteHigh(a));
    high1 = f64x2.add(high1, promoteHigh(b));
    high2 = f64x2.add(high2, promoteHigh(c));
    high3 = f64x2.add(high3, promoteHigh(d));
  }
  putScaled(low0, high0, s, y);
  putScaled(low1, high1, s, y + 16);
  putScaled(low2, high2, s, y + 32);
  putScaled(low3, high3, s, y + 48);
}

// @ts-ignore: decorator
@inline
function putScaled(low: v128, high: v128, s: f64, y: usize): void {
  const factor = f64x2.splat(s);
  const first = f32x4.demote_f64x2_zero(f64x2.mul(low, factor));
  const second = f32x4.demote_f64x2_zero(f64x2.mul(high, factor));
  v128.store(y, v128.shuffle<f32>(first, second, 0, 1, 4, 5));
}

/** dx[outer,n,inner] (+)= s·dy[outer,inner] */
export function spreadMiddle(outer: i32, n: i32, inner: i32, s: f32, dy: usize, accumulate: i32, dx: usize): void {
  if (!ASC_NO_ASSERT) {
    sizes('spreadMiddle: outer, n, inner', outer, n, inner);
    vector('spreadMiddle: dy', dy, outer * inner);
    vector('spreadMiddle: dx', dx, outer * n * inner);
  }
  const line = (<usize>inner) << 2;
  const factor = f32x4.splat(s);
  for (let o = 0; o < outer; o++, dy += line) {
    if (inner === 1) {
      const g = s * load<f32>(dy);
      const all = f32x4.splat(g);
      const end = dx + ((<usize>n) << 2);
      for (; dx + 16 <= end; dx += 16) v128.store(dx, accumulate ? f32x4.add(v128.load(dx), all) : all);
      for (; dx < end; dx += 4) store<f32>(dx, accumulate ? load<f32>(dx) + g : g);
      continue;
    }
    for (let i = 0; i < n; i++, dx += line) {
      let at: usize = 0;
      for (; at + 16 <= line; at += 16) {
        const g = f32x4.mul(factor, v128.load(dy + at));
        v128.store(dx + at, accumulate ? f32x4.add(v128.load(dx + at), g) : g);
      }
      for (; at < line; at += 4) {
        const g = s * load<f32>(dy + at);
        store<f32>(dx + at, accumulate ? load<f32>(dx + at) + g : g);
      }
    }
  }
}
