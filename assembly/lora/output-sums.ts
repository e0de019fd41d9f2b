// Sums over the rows or columns of a layer's outputs: gradients of their scales and shifts, and the norms of the rows or columns of
// a weight (DoRA). Matrices row-major, ld in elements.
import { matrix, optional, vector } from '../checks';
import { promoteHigh } from '../simd';

/** out[n] (+)= w[n]·Σ_m a[m,n]·b[m,n]; rows in order, thirty-two columns at a time: whole lines of the cache, two side by side. */
export function dotColumns(M: i32, N: i32, a: usize, lda: i32, b: usize, ldb: i32, w: usize, accumulate: i32, out: usize): void {
  if (!ASC_NO_ASSERT) {
    matrix('dotColumns: a', a, M, N, lda);
    matrix('dotColumns: b', b, M, N, ldb);
    vector('dotColumns: w', w, N);
    vector('dotColumns: out', out, N);
  }
  const lineA = (<usize>lda) << 2;
  const lineB = (<usize>ldb) << 2;
  const end = (<usize>N) << 2;
  let n: usize = 0;
  for (; n + 128 <= end; n += 128) dotColumns32(M, a + n, lineA, b + n, lineB, w + n, accumulate, out + n);
  for (; n + 16 <= end; n += 16) {
    let v = f32x4.splat(0);
    for (let m = 0, p = a + n, q = b + n; m < M; m++, p += lineA, q += lineB) v = addProduct(v, p, q);
    putWeighted(v, w + n, accumulate, out + n);
  }
  for (; n < end; n += 4) {
    let v: f32 = 0;
    for (let m = 0, p = a + n, q = b + n; m < M; m++, p += lineA, q += lineB) v += load<f32>(p) * load<f32>(q);
    v *= load<f32>(w + n);
    store<f32>(out + n, accumulate ? load<f32>(out + n) + v : v);
  }
}

function dotColumns32(M: i32, a: usize, lineA: usize, b: usize, lineB: usize, w: usize, accumulate: i32, out: usize): void {
  let v0 = f32x4.splat(0), v1 = v0, v2 = v0, v3 = v0, v4 = v0, v5 = v0, v6 = v0, v7 = v0;
  for (let m = 0; m < M; m++, a += lineA, b += lineB) {
    v0 = addProduct(v0, a, b);
    v1 = addProduct(v1, a + 16, b + 16);
    v2 = addProduct(v2, a + 32, b + 32);
    v3 = addProduct(v3, a + 48, b + 48);
    v4 = addProduct(v4, a + 64, b + 64);
    v5 = addProduct(v5, a + 80, b + 80);
    v6 = addProduct(v6, a + 96, b + 96);
    v7 = addProduct(v7, a + 112, b + 112);
  }
  putWeighted(v0, w, accumulate, out);
  putWeighted(v1, w + 16, accumulate, out + 16);
  putWeighted(v2, w + 32, accumulate, out + 32);
  putWeighted(v3, w + 48, accumulate, out + 48);
  putWeighted(v4, w + 64, accumulate, out + 64);
  putWeighted(v5, w + 80, accumulate, out + 80);
  putWeighted(v6, w + 96, accumulate, out + 96);
  putWeighted(v7, w + 112, accumulate, out + 112);
}

/** Multiplied, then added, in every build: the columns of a tail are computed one by one. */
// @ts-ignore: decorator
@inline
function addProduct(total: v128, a: usize, b: usize): v128 {
  return f32x4.add(total, f32x4.mul(v128.load(a), v128.load(b)));
}

// @ts-ignore: decorator
@inline
function putWeighted(v: v128, w: usize, accumulate: i32, out: usize): void {
  const weighted = f32x4.mul(v, v128.load(w));
  v128.store(out, accumulate ? f32x4.add(v128.load(out), weighted) : weighted);
}

/** Two of four lanes in f64: the products of f32 are exact there. */
// @ts-ignore: decorator
@inline
function low(v: v128): v128 {
  return f64x2.promote_low_f32x4(v);
}

/** Σ_n a[n]·b[n] in f64, four lanes in each of two accumulators; b may be 0 (ones). */
function dotRow(N: i32, a: usize, b: usize): f64 {
  const end = a + ((<usize>N) << 2);
  let s0 = f64x2.splat(0), s1 = s0, s2 = s0, s3 = s0;
  if (b) {
    for (; a + 32 <= end; a += 32, b += 32) {
      const p = v128.load(a);
      const q = v128.load(b);
      const r = v128.load(a, 16);
      const s = v128.load(b, 16);
      s0 = f64x2.add(s0, f64x2.mul(low(p), low(q)));
      s1 = f64x2.add(s1, f64x2.mul(promoteHigh(p), promoteHigh(q)));
      s2 = f64x2.add(s2, f64x2.mul(low(r), low(s)));
      s3 = f64x2.add(s3, f64x2.mul(promoteHigh(r), promoteHigh(s)));
    }
  } else {
    for (; a + 32 <= end; a += 32) {
      const p = v128.load(a);
      const r = v128.load(a, 16);
      s0 = f64x2.add(s0, low(p));
      s1 = f64x2.add(s1, promoteHigh(p));
      s2 = f64x2.add(s2, low(r));
      s3 = f64x2.add(s3, promoteHigh(r));
    }
  }
  s0 = f64x2.add(f64x2.add(s0, s1), f64x2.add(s2, s3));
  let total = f64x2.extract_lane(s0, 0) + f64x2.extract_lane(s0, 1);
  for (; a < end; a += 4) {
    total += <f64>load<f32>(a) * (b ? <f64>load<f32>(b) : 1);
    b += b ? 4 : 0;
  }
  return total;
}

/** out[m] (+)= w[m]·Σ_n a[m,n]·b[m,n]; w may be 0 (ones), b may be 0 (ones); the sum in f64. */
export function dotRows(M: i32, N: i32, a: usize, lda: i32, b: usize, ldb: i32, w: usize, accumulate: i32, out: usize): void {
  if (!ASC_NO_ASSERT) {
    matrix('dotRows: a', a, M, N, lda);
    if (b !== 0) matrix('dotRows: b', b, M, N, ldb);
    optional('dotRows: w', w, M);
    vector('dotRows: out', out, M);
  }
  for (let m: usize = 0; m < <usize>M; m++, a += (<usize>lda) << 2, b += b ? (<usize>ldb) << 2 : 0) {
    const v = <f32>(dotRow(N, a, b) * (w ? <f64>load<f32>(w + (m << 2)) : 1));
    const at = out + (m << 2);
    store<f32>(at, accumulate ? load<f32>(at) + v : v);
  }
}

/** out[m] = √Σ_n x[m,n]², summed in f64. */
export function rowNorms(M: i32, N: i32, x: usize, ldx: i32, out: usize): void {
  if (!ASC_NO_ASSERT) {
    matrix('rowNorms: x', x, M, N, ldx);
    vector('rowNorms: out', out, M);
  }
  for (let m = 0; m < M; m++, x += (<usize>ldx) << 2, out += 4) store<f32>(out, <f32>Math.sqrt(squaresOf(N, x)));
}

function squaresOf(N: i32, x: usize): f64 {
  const end = x + ((<usize>N) << 2);
  let s0 = f64x2.splat(0), s1 = s0, s2 = s0, s3 = s0;
  for (; x + 32 <= end; x += 32) {
    const p = v128.load(x);
    const q = v128.load(x, 16);
    s0 = addSquare(s0, low(p));
    s1 = addSquare(s1, promoteHigh(p));
    s2 = addSquare(s2, low(q));
    s3 = addSquare(s3, promoteHigh(q));
  }
  s0 = f64x2.add(f64x2.add(s0, s1), f64x2.add(s2, s3));
  let total = f64x2.extract_lane(s0, 0) + f64x2.extract_lane(s0, 1);
  for (; x < end; x += 4) {
    const v = <f64>load<f32>(x);
    total += v * v;
  }
  return total;
}

/** sums[n] += Σ_m x[m,n]², sums in f64, row by row. */
export function columnSquares(M: i32, N: i32, x: usize, ldx: i32, sums: usize): void {
  if (!ASC_NO_ASSERT) {
    matrix('columnSquares: x', x, M, N, ldx);
    vector('columnSquares: sums', sums, 2 * N);
  }
  const end = (<usize>N) << 2;
  for (let m = 0; m < M; m++, x += (<usize>ldx) << 2) {
    let n: usize = 0;
    let to = sums;
    for (; n + 16 <= end; n += 16, to += 32) {
      const v = v128.load(x + n);
      v128.store(to, addSquare(v128.load(to), low(v)));
      v128.store(to, addSquare(v128.load(to, 16), promoteHigh(v)), 16);
    }
    for (; n < end; n += 4, to += 8) {
      const v = <f64>load<f32>(x + n);
      store<f64>(to, load<f64>(to) + v * v);
    }
  }
}

/** total + v² in f64 */
// @ts-ignore: decorator
@inline
function addSquare(total: v128, v: v128): v128 {
  return f64x2.add(total, f64x2.mul(v, v));
}

/** out[n] = √sums[n], sums in f64. */
export function rootOfSums(N: i32, sums: usize, out: usize): void {
  if (!ASC_NO_ASSERT) {
    vector('rootOfSums: sums', sums, 2 * N);
    vector('rootOfSums: out', out, N);
  }
  for (let n: usize = 0; n < <usize>N; n++) store<f32>(out + (n << 2), <f32>Math.sqrt(load<f64>(sums + (n << 3))));
}
