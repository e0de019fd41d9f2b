// Softmax and softmax cross-entropy over rows. The largest element of a row is taken off first, so that no exponent overflows.
// Row sums are added in f64, in the order of the row; the dot product of softmax's backward in four f64 lanes.
import { scale } from './elementwise';
import { exp1, exp4 } from './exp';

/** Largest element of a row; NaN if there is one. */
function rowMax(N: i32, x: usize): f32 {
  const end = x + ((<usize>N) << 2);
  let tops = f32x4.splat(-Infinity);
  for (; x + 16 <= end; x += 16) tops = f32x4.max(tops, v128.load(x));
  let best = max<f32>(
    max<f32>(f32x4.extract_lane(tops, 0), f32x4.extract_lane(tops, 1)),
    max<f32>(f32x4.extract_lane(tops, 2), f32x4.extract_lane(tops, 3)),
  );
  for (; x < end; x += 4) best = max<f32>(best, load<f32>(x));
  return best;
}

/** y = e^(x - top); gives the sum. y may be x. */
function expRow(N: i32, x: usize, top: f32, y: usize): f64 {
  const end = x + ((<usize>N) << 2);
  const t = f32x4.splat(top);
  let total: f64 = 0;
  for (; x + 16 <= end; x += 16, y += 16) {
    const e = exp4(f32x4.sub(v128.load(x), t));
    v128.store(y, e);
    total += <f64>f32x4.extract_lane(e, 0) + <f64>f32x4.extract_lane(e, 1) + <f64>f32x4.extract_lane(e, 2) + <f64>f32x4.extract_lane(e, 3);
  }
  for (; x < end; x += 4, y += 4) {
    const e = exp1(load<f32>(x) - top);
    store<f32>(y, e);
    total += e;
  }
  return total;
}

/** Σ e^(x - top) */
function expSum(N: i32, x: usize, top: f32): f64 {
  const end = x + ((<usize>N) << 2);
  const t = f32x4.splat(top);
  let total: f64 = 0;
  for (; x + 16 <= end; x += 16) {
    const e = exp4(f32x4.sub(v128.load(x), t));
    total += <f64>f32x4.extract_lane(e, 0) + <f64>f32x4.extract_lane(e, 1) + <f64>f32x4.extract_lane(e, 2) + <f64>f32x4.extract_lane(e, 3);
  }
  for (; x < end; x += 4) total += exp1(load<f32>(x) - top);
  return total;
}

/** y[M,N] = softmax of each row of x[M,N]. */
export function softmaxForward(M: i32, N: i32, x: usize, ldx: i32, y: usize, ldy: i32): void {
  for (let m = 0; m < M; m++, x += (<usize>ldx) << 2, y += (<usize>ldy) << 2) {
    const share = <f32>(1 / expRow(N, x, rowMax(N, x), y));
    scale(N, share, y, y);
  }
}

/** Σ a·b in f64: the products of f32 are exact there. */
function dot(N: i32, a: usize, b: usize): f64 {
  const end = a + ((<usize>N) << 2);
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  for (; a + 16 <= end; a += 16, b += 16) {
    low = f64x2.add(low, f64x2.mul(f64x2.promote_low_f32x4(v128.load64_zero(a)), f64x2.promote_low_f32x4(v128.load64_zero(b))));
    high = f64x2.add(high, f64x2.mul(f64x2.promote_low_f32x4(v128.load64_zero(a, 8)), f64x2.promote_low_f32x4(v128.load64_zero(b, 8))));
  }
  const both = f64x2.add(low, high);
  let total = f64x2.extract_lane(both, 0) + f64x2.extract_lane(both, 1);
  for (; a < end; a += 4, b += 4) total += <f64>load<f32>(a) * <f64>load<f32>(b);
  return total;
}

/** dx (+)= y ⊙ (dy - Σ dy·y), row by row. */
export function softmaxBackward(M: i32, N: i32, y: usize, ldy: i32, dy: usize, lddy: i32, accumulate: i32, dx: usize, lddx: i32): void {
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
  for (let m: usize = 0, rows = (<usize>M) << 2; m < rows; m += 4, x += (<usize>ldx) << 2) {
    const top = rowMax(N, x);
    const rest = Math.log(expSum(N, x, top));
    const label = load<i32>(labels + m);
    store<f32>(loss + m, label === ignoreIndex ? 0 : <f32>(<f64>top - <f64>load<f32>(x + ((<usize>label) << 2)) + rest));
  }
}

/** dx (+)= g·(softmax(row) - onehot), g = s·dloss[row·stride]; ignored rows give 0. */
export function crossEntropyBackward(M: i32, N: i32, x: usize, ldx: i32, labels: usize, ignoreIndex: i32, s: f32, dloss: usize, dlossStride: i32, accumulate: i32, dx: usize, lddx: i32): void {
  for (let m = 0; m < M; m++, x += (<usize>ldx) << 2, dx += (<usize>lddx) << 2) {
    const label = load<i32>(labels + ((<usize>m) << 2));
    const used = label !== ignoreIndex;
    const g: f32 = used ? s * load<f32>(dloss + (<usize>m * <usize>dlossStride << 2)) : 0;
    // Softmax anew from the row's own maximum: from a kept logsumexp in f32, large logits would lose their digits.
    const top = rowMax(N, x);
    const share: f32 = used ? <f32>(1 / expSum(N, x, top)) : 0;
    for (let n = 0; n < N; n++) {
      const at = (<usize>n) << 2;
      let d: f32 = 0;
      if (used) d = g * (exp1(load<f32>(x + at) - top) * share - (n === label ? <f32>1 : <f32>0));
      store<f32>(dx + at, accumulate ? load<f32>(dx + at) + d : d);
    }
  }
}
