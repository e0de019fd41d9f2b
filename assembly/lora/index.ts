// LoRA: the skinny products forward and backward, and the merge. The fused forward and backward of a whole layer are the
// products of assembly/matmul with these as their low-rank operands.
import { matrix, scratchOf } from '../checks';
import { dotProduct } from '../matmul/dot';
import { transposeScaled } from '../matmul/transpose';
import { FUSED } from '../simd';
import { broadcastProduct, wideProduct } from './skinny';

export { transposeScaled } from '../matmul/transpose';
export { loraScaleB } from './skinny';
export * from './outputs';

/** The widest dot tile that stays in registers (bench/variants). */
const DOT_COLUMNS: i32 = FUSED ? 6 : 4;

/** h[M,R] = x[M,K]·Aᵀ: every row of x meets the few rows of A, which stay in the first-level cache. */
export function loraDown(M: i32, K: i32, R: i32, x: usize, ldx: i32, a: usize, lda: i32, h: usize, ldh: i32): void {
  if (!ASC_NO_ASSERT) {
    matrix('loraDown: x', x, M, K, ldx);
    matrix('loraDown: a', a, R, K, lda);
    matrix('loraDown: h', h, M, R, ldh);
  }
  dotProduct(DOT_COLUMNS, M, R, K, 0, x, ldx, a, lda, 0, 0, 0, 0, h, ldh);
}

/**
 * u[M,R] = s·dy[M,N]·B, B [N,R]. B is turned first, in scratch of 4·N·R bytes: rows of dy then meet rows of
 * s·Bᵀ, at any R. A single column of B is a row as it lies.
 */
export function loraBackwardHidden(M: i32, N: i32, R: i32, s: f32, dy: usize, lddy: i32, b: usize, ldb: i32, u: usize, ldu: i32, scratch: usize): void {
  if (!ASC_NO_ASSERT) {
    matrix('loraBackwardHidden: dy', dy, M, N, lddy);
    matrix('loraBackwardHidden: b', b, N, R, ldb);
    matrix('loraBackwardHidden: u', u, M, R, ldu);
    if (R !== 1 || ldb !== 1) scratchOf('loraBackwardHidden: scratch', scratch, (<u64>N * R) << 2);
  }
  if (R === 1 && ldb === 1) {
    dotProduct(DOT_COLUMNS, M, 1, N, 0, dy, lddy, b, N, 0, 0, 0, 0, u, ldu);
    for (let m = 0; m < M; m++, u += (<usize>ldu) << 2) store<f32>(u, s * load<f32>(u));
    return;
  }
  transposeScaled(N, R, s, b, ldb, scratch, N);
  dotProduct(DOT_COLUMNS, M, R, N, 0, dy, lddy, scratch, N, 0, 0, 0, 0, u, ldu);
}

/** da[R,K] (+)= u[M,R]ᵀ·x[M,K]. */
export function loraGradA(M: i32, K: i32, R: i32, u: usize, ldu: i32, x: usize, ldx: i32, accumulate: i32, da: usize, ldda: i32): void {
  if (!ASC_NO_ASSERT) {
    matrix('loraGradA: u', u, M, R, ldu);
    matrix('loraGradA: x', x, M, K, ldx);
    matrix('loraGradA: da', da, R, K, ldda);
  }
  wideProduct(R, K, M, 1, u, (<usize>ldu) << 2, x, (<usize>ldx) << 2, accumulate, da, (<usize>ldda) << 2);
}

/** db[N,R] (+)= s·dy[M,N]ᵀ·h[M,R]: dbᵀ = s·hᵀ·dy as dA is made, in scratch of 4·N·R bytes, then turned. */
export function loraGradB(M: i32, N: i32, R: i32, s: f32, dy: usize, lddy: i32, h: usize, ldh: i32, accumulate: i32, db: usize, lddb: i32, scratch: usize): void {
  if (!ASC_NO_ASSERT) {
    matrix('loraGradB: dy', dy, M, N, lddy);
    matrix('loraGradB: h', h, M, R, ldh);
    matrix('loraGradB: db', db, N, R, lddb);
    if (R !== 1 || lddb !== 1) scratchOf('loraGradB: scratch', scratch, (<u64>N * R) << 2);
  }
  if (R === 1 && lddb === 1) {
    wideProduct(1, N, M, s, h, (<usize>ldh) << 2, dy, (<usize>lddy) << 2, accumulate, db, (<usize>N) << 2);
    return;
  }
  if (accumulate) transposeScaled(N, R, 1, db, lddb, scratch, N);
  wideProduct(R, N, M, s, h, (<usize>ldh) << 2, dy, (<usize>lddy) << 2, accumulate, scratch, (<usize>N) << 2);
  transposeScaled(R, N, 1, scratch, N, db, lddb);
}

/** out[N,K] = w + s·B·A; w may be 0 (the delta alone) or out itself. */
export function loraMerge(N: i32, K: i32, R: i32, s: f32, b: usize, ldb: i32, a: usize, lda: i32, w: usize, ldw: i32, out: usize, ldo: i32): void {
  if (!ASC_NO_ASSERT) {
    matrix('loraMerge: b', b, N, R, ldb);
    matrix('loraMerge: a', a, R, K, lda);
    if (w !== 0) matrix('loraMerge: w', w, N, K, ldw);
    matrix('loraMerge: out', out, N, K, ldo);
  }
  const width = (<usize>K) << 2;
  const wStep = (<usize>ldw) << 2;
  const oStep = (<usize>ldo) << 2;
  for (let n: usize = 0; n < <usize>N; n++) {
    if (w === 0) memory.fill(out + n * oStep, 0, width);
    else if (w !== out) memory.copy(out + n * oStep, w + n * wStep, width);
  }
  broadcastProduct(N, K, R, s, b, (<usize>ldb) << 2, 4, a, (<usize>lda) << 2, 1, out, oStep);
}
