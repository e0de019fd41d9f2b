/**
 * The products of an adapter's factors, operands as records: laid out as the kernels' bare numbers, and cut into shares between rows, or
 * for sums over rows between columns, so that bits do not depend on the cut. Called by `ops`.
 */
import type { GradientMatrix } from './matrices.js';
import { columnAt, type Matrix, rowAt, spanOf } from './operands.js';
import { LINE, runRange, type Sharer } from './sharing.js';

/** h[M,R] = x[M,K]·Aᵀ. */
export function down({ sharing }: Sharer, { x, a, h }: { x: Matrix; a: Matrix; h: Matrix }): void {
  const { rows: M, columns: K, stride: ldx } = x;
  const { rows: R, pointer: pa, stride: lda } = a;
  runRange(sharing, {
    kernel: 'loraDown',
    flops: 2 * M * K * R,
    bytes: 0,
    size: M,
    grain: LINE,
    part: (from, count) => [count, K, R, rowAt(x, from), ldx, pa, lda, rowAt(h, from), h.stride],
    outputs: () => [spanOf(h)],
  });
}

/** u[M,R] = s·dy[M,N]·B[N,R]. */
export function hiddenGradient(
  { sharing }: Sharer,
  { s, dy, b, u }: { s: number; dy: Matrix; b: Matrix; u: Matrix },
): void {
  const { rows: M, columns: N, stride: ldg } = dy;
  const { columns: R, pointer: pb, stride: ldb } = b;
  runRange(sharing, {
    kernel: 'loraBackwardHidden',
    flops: 2 * M * N * R,
    bytes: 4 * N * R,
    size: M,
    grain: LINE,
    part: (from, count, scratch) => {
      const [pg, to] = [rowAt(dy, from), rowAt(u, from)];
      return [count, N, R, s, pg, ldg, pb, ldb, to, u.stride, scratch];
    },
    outputs: () => [spanOf(u)],
  });
}

/** dA[R,K] (+)= u[M,R]ᵀ·x[M,K]. */
export function gradA({ sharing }: Sharer, { u, x, da }: { u: Matrix; x: Matrix; da: GradientMatrix }): void {
  const { rows: M, columns: K, stride: ldx } = x;
  const { columns: R, pointer: pu, stride: ldu } = u;
  runRange(sharing, {
    kernel: 'loraGradA',
    flops: 2 * M * K * R,
    bytes: 0,
    size: K,
    grain: LINE,
    part: (from, count) => {
      const [px, to] = [columnAt(x, from), columnAt(da, from)];
      return [M, count, R, pu, ldu, px, ldx, da.accumulate, to, da.stride];
    },
    outputs: () => [spanOf(da)],
  });
}

/** dB[N,R] (+)= s·dy[M,N]ᵀ·h[M,R]. */
export function gradB(
  { sharing }: Sharer,
  { s, dy, h, db }: { s: number; dy: Matrix; h: Matrix; db: GradientMatrix },
): void {
  const { rows: M, columns: N, stride: ldg } = dy;
  const { columns: R, pointer: ph, stride: ldh } = h;
  runRange(sharing, {
    kernel: 'loraGradB',
    flops: 2 * M * N * R,
    bytes: 4 * N * R,
    size: N,
    grain: LINE,
    part: (from, count, scratch) => {
      const [pg, to] = [columnAt(dy, from), rowAt(db, from)];
      return [M, count, R, s, pg, ldg, ph, ldh, db.accumulate, to, db.stride, scratch];
    },
    outputs: () => [spanOf(db)],
  });
}
