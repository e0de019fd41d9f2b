/**
 * The products of an adapter's factors, operands as records: laid out as the kernels' bare numbers, and cut into shares between rows, or
 * for sums over rows between columns, so that bits do not depend on the cut. Called by `ops`.
 */
import type { GradientMatrix } from './matrices.js';
import { columnsOf, type Matrix, rowsOf, spanOf } from './operands.js';
import { LINE, rangeWork, type Sharer } from './sharing.js';

/** h[M,R] = x[M,K]·Aᵀ. */
export function down({ sharing }: Sharer, { x, a, h }: { x: Matrix; a: Matrix; h: Matrix }): void {
  const { rows: M, columns: K } = x;
  const { rows: R, pointer, stride } = a;
  const work = rangeWork({
    kernel: 'loraDown',
    outputs: [spanOf(h)],
    flops: 2 * M * K * R,
    size: M,
    grain: LINE,
    part(from, count) {
      const [px, ph] = [rowsOf(x, from, count), rowsOf(h, from, count)];
      return [count, K, R, px.pointer, px.stride, pointer, stride, ph.pointer, ph.stride];
    },
  });
  sharing.run(work);
}

/** u[M,R] = s·dy[M,N]·B[N,R]. */
export function hiddenGradient(
  { sharing }: Sharer,
  { s, dy, b, u }: { s: number; dy: Matrix; b: Matrix; u: Matrix },
): void {
  const { rows: M, columns: N } = dy;
  const { columns: R, pointer, stride } = b;
  const work = rangeWork({
    kernel: 'loraBackwardHidden',
    outputs: [spanOf(u)],
    flops: 2 * M * N * R,
    size: M,
    grain: LINE,
    bytes: 4 * N * R,
    part(from, count, scratch) {
      const [pg, pu] = [rowsOf(dy, from, count), rowsOf(u, from, count)];
      return [count, N, R, s, pg.pointer, pg.stride, pointer, stride, pu.pointer, pu.stride, scratch];
    },
  });
  sharing.run(work);
}

/** dA[R,K] (+)= u[M,R]ᵀ·x[M,K]. */
export function gradA({ sharing }: Sharer, { u, x, da }: { u: Matrix; x: Matrix; da: GradientMatrix }): void {
  const { rows: M, columns: K } = x;
  const { columns: R, pointer, stride } = u;
  const work = rangeWork({
    kernel: 'loraGradA',
    outputs: [spanOf(da)],
    flops: 2 * M * K * R,
    size: K,
    grain: LINE,
    part(from, count) {
      const { pointer: px, stride: ldx } = columnsOf(x, from, count);
      const { pointer: to, stride: ldo } = columnsOf(da, from, count);
      return [M, count, R, pointer, stride, px, ldx, da.accumulate, to, ldo];
    },
  });
  sharing.run(work);
}

/** dB[N,R] (+)= s·dy[M,N]ᵀ·h[M,R]. */
export function gradB(
  { sharing }: Sharer,
  { s, dy, h, db }: { s: number; dy: Matrix; h: Matrix; db: GradientMatrix },
): void {
  const { rows: M, columns: N } = dy;
  const { columns: R, pointer, stride } = h;
  const work = rangeWork({
    kernel: 'loraGradB',
    outputs: [spanOf(db)],
    flops: 2 * M * N * R,
    size: N,
    grain: LINE,
    bytes: 4 * N * R,
    part(from, count, scratch) {
      const { pointer: pg, stride: ldg } = columnsOf(dy, from, count);
      const { pointer: to, stride: ldo } = rowsOf(db, from, count);
      return [M, count, R, s, pg, ldg, pointer, stride, db.accumulate, to, ldo, scratch];
    },
  });
  sharing.run(work);
}
