// LoRA: the skinny products forward and backward, and the merge. The fused forward and backward of a whole layer are the
// products of assembly/matmul with these as their low-rank operands.
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
  dotProduct(DOT_COLUMNS, M, R, K, 0, x, ldx, a, lda, 0, 0, 0, 0, h, ldh);
}

/**
 * u[M,R] = s·dy[M,N]·B, B [N,R]. B is turned first, in scratch of 4·N·R bytes: rows of dy then meet rows of
 * s·Bᵀ, at any R. A single column of B is a row as it lies.
 */
export function loraBackwardHidden(M: i32, N: i32, R: i32, s: f32, dy: usize, lddy: i32, b: usize, ldb: i32, u: usize, ldu: i32, scratch: usize): void {
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
  wideProduct(R, K, M, 1, u, (<usize>ldu) << 2, x, (<usize>ldx) << 2, accumulate, da, (<usize>ldda) << 2);
}

/** db[N,R] (+)= s·dy[M,N]ᵀ·h[M,R]: dbᵀ = s·hᵀ·dy as dA is made, in scratch of 4·N·R bytes, then turned. */
export function loraGradB(M: i32, N: i32, R: i32, s: f32, dy: usize, lddy: i32, h: usize, ldh: i32, accumulate: i32, db: usize, lddb: i32, scratch: usize): void {
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
  const width = (<usize>K) << 2;
  const wStep = (<usize>ldw) << 2;
  const oStep = (<usize>ldo) << 2;
  for (let n: usize = 0; n < <usize>N; n++) {
    if (w === 0) memory.fill(out + n * oStep, 0, width);
    else if (w !== out) memory.copy(out + n * oStep, w + n * wStep, width);
  }
  broadcastProduct(N, K, R, s, b, (<usize>ldb) << 2, 4, a, (<usize>lda) << 2, 1, out, oStep);
}
