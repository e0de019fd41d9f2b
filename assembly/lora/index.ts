// LoRA: the skinny products forward and backward, and the merge. The fused forward and backward of a whole layer are the
// products of assembly/matmul with these as their low-rank operands.
import { dotProduct } from '../matmul/dot';
import { broadcastProduct } from './skinny';

export { loraDown, loraScaleB } from './skinny';
export * from './outputs';

/** u[M,R] = s·dy[M,N]·B, B [N,R]. A single column of B is a vector: rows times vector. */
export function loraBackwardHidden(M: i32, N: i32, R: i32, s: f32, dy: usize, lddy: i32, b: usize, ldb: i32, u: usize, ldu: i32): void {
  if (R === 1 && ldb === 1) {
    dotProduct(4, M, 1, N, 0, dy, lddy, b, N, 0, 0, 0, 0, u, ldu);
    for (let m = 0; m < M; m++, u += (<usize>ldu) << 2) store<f32>(u, s * load<f32>(u));
    return;
  }
  broadcastProduct(M, R, N, s, dy, (<usize>lddy) << 2, 4, b, (<usize>ldb) << 2, 0, u, (<usize>ldu) << 2);
}

/** da[R,K] (+)= u[M,R]ᵀ·x[M,K]. */
export function loraGradA(M: i32, K: i32, R: i32, u: usize, ldu: i32, x: usize, ldx: i32, accumulate: i32, da: usize, ldda: i32): void {
  broadcastProduct(R, K, M, 1, u, 4, (<usize>ldu) << 2, x, (<usize>ldx) << 2, accumulate, da, (<usize>ldda) << 2);
}

/** db[N,R] (+)= s·dy[M,N]ᵀ·h[M,R]. With a single contiguous column it is h as a row times dy. */
export function loraGradB(M: i32, N: i32, R: i32, s: f32, dy: usize, lddy: i32, h: usize, ldh: i32, accumulate: i32, db: usize, lddb: i32): void {
  if (R === 1 && lddb === 1) broadcastProduct(1, N, M, s, h, 4, (<usize>ldh) << 2, dy, (<usize>lddy) << 2, accumulate, db, (<usize>N) << 2);
  else broadcastProduct(N, R, M, s, dy, 4, (<usize>lddy) << 2, h, (<usize>ldh) << 2, accumulate, db, (<usize>lddb) << 2);
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
