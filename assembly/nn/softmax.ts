// Softmax and softmax cross-entropy over rows. The largest element of a row is taken off first, so that no exponent overflows.
// Row sums: two vectors are added in f32, those sums in f64.
import { indices, matrix, vector } from '../checks';
import { madd, promoteHigh } from '../simd';
import { scale } from './elementwise';
import { exp1, exp4 } from './exp';

/** Largest element of a row, NaN left out: e^(x - top) is NaN there all the same. */
function rowMax(N: i32, x: usize): f32 {
  const end = x + ((<usize>N) << 2);
  let a = f32x4.splat(-Infinity);
  let b = a;
  let c = a;
  let d = a;
  // pmax(a, b) is b where a < b, else a: one instruction, where max takes seven for the sake of NaN.
  for (; x + 64 <= end; x += 64) {
    a = f32x4.pmax(a, v128.load(x));
    b = f32x4.pmax(b, v128.load(x, 16));
    c = f32x4.pmax(c, v128.load(x, 32));
    d = f32x4.pmax(d, v128.load(x, 48));
  }
  for (; x + 16 <= end; x += 16) a = f32x4.pmax(a, v128.load(x));
  a = f32x4.pmax(f32x4.pmax(a, b), f32x4.pmax(c, d));
  if (x < end) a = f32x4.pmax(a, loadTail(x, end));
  a = f32x4.pmax(a, v128.shuffle<f32>(a, a, 2, 3, 0, 1));
  return max<f32>(f32x4.extract_lane(a, 0), f32x4.extract_lane(a, 1));
}

/** The one to three elements before `end`, then -infinity, whose e^x is 0. */
// @ts-ignore: decorator
@inline
function loadTail(x: usize, end: usize): v128 {
  let v = v128.load32_lane(x, f32x4.splat(-Infinity), 0);
  if (x + 4 < end) v = v128.load32_lane(x + 4, v, 1);
  if (x + 8 < end) v = v128.load32_lane(x + 8, v, 2);
  return v;
}

// @ts-ignore: decorator
@inline
function storeTail(y: usize, v: v128, count: usize): void {
  v128.store32_lane(y, v, 0);
  if (count > 1) v128.store32_lane(y + 4, v, 1);
  if (count > 2) v128.store32_lane(y + 8, v, 2);
}

/** The sums of lanes 0 and 2 and of lanes 1 and 3. */
// @ts-ignore: decorator
@inline
function pairs(v: v128): v128 {
  return f64x2.add(f64x2.promote_low_f32x4(v), promoteHigh(v));
}

/** Σ e^(x - top); y = e^(x - top) unless y is 0. y may be x. */
// @ts-ignore: decorator
@inline
function expRow(N: i32, x: usize, top: f32, y: usize): f64 {
  const end = x + ((<usize>N) << 2);
  const t = f32x4.splat(top);
  let sums = f64x2.splat(0);
  for (; x + 32 <= end; x += 32) {
    const first = exp4(f32x4.sub(v128.load(x), t));
    const second = exp4(f32x4.sub(v128.load(x, 16), t));
    sums = f64x2.add(sums, pairs(f32x4.add(first, second)));
    if (y) {
      v128.store(y, first);
      v128.store(y, second, 16);
      y += 32;
    }
  }
  for (; x + 16 <= end; x += 16) {
    const e = exp4(f32x4.sub(v128.load(x), t));
    sums = f64x2.add(sums, pairs(e));
    if (y) {
      v128.store(y, e);
      y += 16;
    }
  }
  if (x < end) {
    const e = exp4(f32x4.sub(loadTail(x, end), t));
    sums = f64x2.add(sums, pairs(e));
    if (y) storeTail(y, e, (end - x) >> 2);
  }
  return f64x2.extract_lane(sums, 0) + f64x2.extract_lane(sums, 1);
}

/** y[M,N] = softmax of each row of x[M,N]. */
export function softmaxForward(M: i32, N: i32, x: usize, ldx: i32, y: usize, ldy: i32): void {
  if (!ASC_NO_ASSERT) {
    matrix('softmaxForward: x', x, M, N, ldx);
    matrix('softmaxForward: y', y, M, N, ldy);
  }
  for (let m = 0; m < M; m++, x += (<usize>ldx) << 2, y += (<usize>ldy) << 2) {
    const share = <f32>(1 / expRow(N, x, rowMax(N, x), y));
    scale(N, share, y, y);
  }
}

/** Σ a·b */
function dot(N: i32, a: usize, b: usize): f64 {
  const end = a + ((<usize>N) << 2);
  let p = f64x2.splat(0);
  let q = f64x2.splat(0);
  for (; a + 64 <= end; a += 64, b += 64) {
    const low = madd(v128.load(a), v128.load(b), f32x4.mul(v128.load(a, 16), v128.load(b, 16)));
    const high = madd(v128.load(a, 32), v128.load(b, 32), f32x4.mul(v128.load(a, 48), v128.load(b, 48)));
    p = f64x2.add(p, pairs(low));
    q = f64x2.add(q, pairs(high));
  }
  for (; a + 16 <= end; a += 16, b += 16) p = f64x2.add(p, pairs(f32x4.mul(v128.load(a), v128.load(b))));
  p = f64x2.add(p, q);
  let total = f64x2.extract_lane(p, 0) + f64x2.extract_lane(p, 1);
  for (; a < end; a += 4, b += 4) total += <f64>load<f32>(a) * <f64>load<f32>(b);
  return total;
}

/** dx (+)= y ⊙ (dy - Σ dy·y), row by row. */
export function softmaxBackward(M: i32, N: i32, y: usize, ldy: i32, dy: usize, lddy: i32, accumulate: i32, dx: usize, lddx: i32): void {
  if (!ASC_NO_ASSERT) {
    matrix('softmaxBackward: y', y, M, N, ldy);
    matrix('softmaxBackward: dy', dy, M, N, lddy);
    matrix('softmaxBackward: dx', dx, M, N, lddx);
  }
  for (let m = 0; m < M; m++, y += (<usize>ldy) << 2, dy += (<usize>lddy) << 2, dx += (<usize>lddx) << 2) {
    const d = <f32>dot(N, y, dy);
    const ds = f32x4.splat(d);
    const end = (<usize>N) << 2;
    let n: usize = 0;
    for (; n + 16 <= end; n += 16) {
      const g = f32x4.mul(v128.load(y + n), f32x4.sub(v128.load(dy + n), ds));
      v128.store(dx + n, accumulate ? f32x4.add(v128.load(dx + n), g) : g);
    }
    for (; n < end; n += 4) {
      const g = load<f32>(y + n) * (load<f32>(dy + n) - d);
      store<f32>(dx + n, accumulate ? load<f32>(dx + n) + g : g);
    }
  }
}

/** loss[M] = logsumexp(row) - row[label], 0 for ignored rows; the sum stays in f64 until the label is taken off. */
export function crossEntropyForward(M: i32, N: i32, x: usize, ldx: i32, labels: usize, ignoreIndex: i32, loss: usize): void {
  if (!ASC_NO_ASSERT) {
    matrix('crossEntropyForward: x', x, M, N, ldx);
    indices('crossEntropyForward: labels', labels, M, ignoreIndex, N);
    vector('crossEntropyForward: loss', loss, M);
  }
  for (let m: usize = 0, rows = (<usize>M) << 2; m < rows; m += 4, x += (<usize>ldx) << 2) {
    const top = rowMax(N, x);
    const rest = Math.log(expRow(N, x, top, 0));
    const label = load<i32>(labels + m);
    store<f32>(loss + m, label === ignoreIndex ? 0 : <f32>(<f64>top - <f64>load<f32>(x + ((<usize>label) << 2)) + rest));
  }
}

/** dx (+)= g·(softmax(row) - onehot), g = s·dloss[row·stride]; ignored rows give 0. */
export function crossEntropyBackward(M: i32, N: i32, x: usize, ldx: i32, labels: usize, ignoreIndex: i32, s: f32, dloss: usize, dlossStride: i32, accumulate: i32, dx: usize, lddx: i32): void {
  if (!ASC_NO_ASSERT) {
    matrix('crossEntropyBackward: x', x, M, N, ldx);
    indices('crossEntropyBackward: labels', labels, M, ignoreIndex, N);
    vector('crossEntropyBackward: dloss', dloss, M === 0 ? 0 : (M - 1) * dlossStride + 1);
    matrix('crossEntropyBackward: dx', dx, M, N, lddx);
  }
  for (let m = 0; m < M; m++, x += (<usize>ldx) << 2, dx += (<usize>lddx) << 2) {
    const label = load<i32>(labels + ((<usize>m) << 2));
    if (label === ignoreIndex) {
      if (!accumulate) memory.fill(dx, 0, (<usize>N) << 2);
      continue;
    }
    const g = s * load<f32>(dloss + (<usize>m * <usize>dlossStride << 2));
    // Softmax anew from the row's own maximum: from a kept logsumexp in f32, large logits would lose their digits.
    const top = rowMax(N, x);
    const hit = (<usize>label) << 2;
    const e = exp1(load<f32>(x + hit) - top);
    const before: f32 = accumulate ? load<f32>(dx + hit) : 0;
    const share = <f32>(1 / expRow(N, x, top, accumulate ? 0 : dx));
    if (accumulate) addExpRow(N, x, top, share, g, dx);
    else scaleTwice(N, share, g, dx);
    const d = g * (e * share - 1);
    store<f32>(dx + hit, accumulate ? before + d : d);
  }
}

/** y = g·(share·y) */
// @ts-ignore: decorator
@inline
function scaleTwice(N: i32, share: f32, g: f32, y: usize): void {
  const end = y + ((<usize>N) << 2);
  const shares = f32x4.splat(share);
  const gs = f32x4.splat(g);
  for (; y + 16 <= end; y += 16) v128.store(y, f32x4.mul(gs, f32x4.mul(v128.load(y), shares)));
  for (; y < end; y += 4) store<f32>(y, g * (load<f32>(y) * share));
}

/** y += g·(share·e^(x - top)) */
// @ts-ignore: decorator
@inline
function addExpRow(N: i32, x: usize, top: f32, share: f32, g: f32, y: usize): void {
  const end = y + ((<usize>N) << 2);
  const t = f32x4.splat(top);
  const shares = f32x4.splat(share);
  const gs = f32x4.splat(g);
  for (; y + 16 <= end; y += 16, x += 16) {
    const e = exp4(f32x4.sub(v128.load(x), t));
    v128.store(y, f32x4.add(v128.load(y), f32x4.mul(gs, f32x4.mul(e, shares))));
  }
  for (; y < end; y += 4, x += 4) store<f32>(y, load<f32>(y) + g * (exp1(load<f32>(x) - top) * share));
}
