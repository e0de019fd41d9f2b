// The skinny products' inner parts, straight from the matrices as they lie.
import { matrix } from '../checks';
import { streamProduct } from '../matmul/stream';
import { FUSED, madd } from '../simd';

/** c[I,J] (+)= s·aᵀ·b for a [D,I], b [D,J]: few rows of c over all of b's width. Strides of rows in bytes. */
export function wideProduct(I: i32, J: i32, D: i32, s: f32, a: usize, lda: usize, b: usize, ldb: usize, accumulate: i32, c: usize, ldc: usize): void {
  // Fused, streaming b is the fastest at any I; else from four rows on a tile of four by eight is.
  if (FUSED || I < 4) streamProduct(I, J, D, s, a, 4, lda, b, ldb, accumulate, c, ldc);
  else broadcastProduct(I, J, D, s, a, 4, lda, b, ldb, accumulate, c, ldc);
}

/** out[N,R] = s·b[N,R]: an adapter's scaled B at its columns of the stacked B. */
export function loraScaleB(N: i32, R: i32, s: f32, b: usize, ldb: i32, out: usize, ldo: i32): void {
  if (!ASC_NO_ASSERT) {
    matrix('loraScaleB: b', b, N, R, ldb);
    matrix('loraScaleB: out', out, N, R, ldo);
  }
  const v = f32x4.splat(s);
  const end = (<usize>R) << 2;
  for (let n = 0; n < N; n++, b += (<usize>ldb) << 2, out += (<usize>ldo) << 2) {
    let r: usize = 0;
    for (; r + 16 <= end; r += 16) v128.store(out + r, f32x4.mul(v, v128.load(b + r)));
    for (; r < end; r += 4) store<f32>(out + r, s * load<f32>(b + r));
  }
}

/**
 * c[I,J] (+)= s·Σ_d a(i,d)·b[d,j] for d < D: broadcasts a, reads b's rows as they lie. Four rows by eight columns in
 * registers, then one row by eight, by four and single columns; each element is summed in order of d.
 * Strides in bytes: a by aRow along i and aDeep along d.
 */
export function broadcastProduct(I: i32, J: i32, D: i32, s: f32, a: usize, aRow: usize, aDeep: usize, b: usize, ldb: usize, accumulate: i32, c: usize, ldc: usize): void {
  let i = 0;
  for (; i + 4 <= I; i += 4) {
    const ai = a + <usize>i * aRow;
    const ci = c + <usize>i * ldc;
    let j = 0;
    for (; j + 8 <= J; j += 8) fourByEight(D, s, ai, aRow, aDeep, b + ((<usize>j) << 2), ldb, accumulate, ci + ((<usize>j) << 2), ldc);
    for (let k: usize = 0; k < 4; k++) oneRow(j, J, D, s, ai + k * aRow, aDeep, b, ldb, accumulate, ci + k * ldc);
  }
  for (; i < I; i++) oneRow(0, J, D, s, a + <usize>i * aRow, aDeep, b, ldb, accumulate, c + <usize>i * ldc);
}

function fourByEight(D: i32, s: f32, a: usize, aRow: usize, aDeep: usize, b: usize, ldb: usize, accumulate: i32, c: usize, ldc: usize): void {
  let c00 = f32x4.splat(0);
  let c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0);
  let c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0);
  let c21 = f32x4.splat(0);
  let c30 = f32x4.splat(0);
  let c31 = f32x4.splat(0);
  for (let d = 0; d < D; d++, a += aDeep, b += ldb) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let v = v128.load32_splat(a);
    c00 = madd(v, b0, c00);
    c01 = madd(v, b1, c01);
    v = v128.load32_splat(a + aRow);
    c10 = madd(v, b0, c10);
    c11 = madd(v, b1, c11);
    v = v128.load32_splat(a + 2 * aRow);
    c20 = madd(v, b0, c20);
    c21 = madd(v, b1, c21);
    v = v128.load32_splat(a + 3 * aRow);
    c30 = madd(v, b0, c30);
    c31 = madd(v, b1, c31);
  }
  put(s, c00, accumulate, c);
  put(s, c01, accumulate, c + 16);
  put(s, c10, accumulate, c + ldc);
  put(s, c11, accumulate, c + ldc + 16);
  put(s, c20, accumulate, c + 2 * ldc);
  put(s, c21, accumulate, c + 2 * ldc + 16);
  put(s, c30, accumulate, c + 3 * ldc);
  put(s, c31, accumulate, c + 3 * ldc + 16);
}

/** Columns j to J of one row: thirty-two, eight and four at a time, then one by one in the first lane of a vector. */
function oneRow(j: i32, J: i32, D: i32, s: f32, a: usize, aDeep: usize, b: usize, ldb: usize, accumulate: i32, c: usize): void {
  for (; j + 32 <= J; j += 32) oneByThirtyTwo(D, s, a, aDeep, b + ((<usize>j) << 2), ldb, accumulate, c + ((<usize>j) << 2));
  for (; j + 4 <= J; j += 4) {
    let v = f32x4.splat(0);
    let p = a;
    let q = b + ((<usize>j) << 2);
    for (let d = 0; d < D; d++, p += aDeep, q += ldb) v = madd(v128.load32_splat(p), v128.load(q), v);
    put(s, v, accumulate, c + ((<usize>j) << 2));
  }
  for (; j < J; j++) {
    let v = f32x4.splat(0);
    let p = a;
    let q = b + ((<usize>j) << 2);
    for (let d = 0; d < D; d++, p += aDeep, q += ldb) v = madd(v128.load32_splat(p), v128.load32_zero(q), v);
    const at = c + ((<usize>j) << 2);
    const r = s * f32x4.extract_lane(v, 0);
    store<f32>(at, accumulate ? load<f32>(at) + r : r);
  }
}

function oneByThirtyTwo(D: i32, s: f32, a: usize, aDeep: usize, b: usize, ldb: usize, accumulate: i32, c: usize): void {
  let c0 = f32x4.splat(0);
  let c1 = f32x4.splat(0);
  let c2 = f32x4.splat(0);
  let c3 = f32x4.splat(0);
  let c4 = f32x4.splat(0);
  let c5 = f32x4.splat(0);
  let c6 = f32x4.splat(0);
  let c7 = f32x4.splat(0);
  for (let d = 0; d < D; d++, a += aDeep, b += ldb) {
    const v = v128.load32_splat(a);
    c0 = madd(v, v128.load(b), c0);
    c1 = madd(v, v128.load(b, 16), c1);
    c2 = madd(v, v128.load(b, 32), c2);
    c3 = madd(v, v128.load(b, 48), c3);
    c4 = madd(v, v128.load(b, 64), c4);
    c5 = madd(v, v128.load(b, 80), c5);
    c6 = madd(v, v128.load(b, 96), c6);
    c7 = madd(v, v128.load(b, 112), c7);
  }
  put(s, c0, accumulate, c);
  put(s, c1, accumulate, c + 16);
  put(s, c2, accumulate, c + 32);
  put(s, c3, accumulate, c + 48);
  put(s, c4, accumulate, c + 64);
  put(s, c5, accumulate, c + 80);
  put(s, c6, accumulate, c + 96);
  put(s, c7, accumulate, c + 112);
}

// @ts-ignore: decorator
@inline
function put(s: f32, v: v128, accumulate: i32, c: usize): void {
  const scaled = f32x4.mul(f32x4.splat(s), v);
  v128.store(c, accumulate ? f32x4.add(v128.load(c), scaled) : scaled);
}
