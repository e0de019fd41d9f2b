/**
 * Kernels over rows of classes as the operations call them, operands as records: softmax, cross-entropy, the largest of a row.
 * The kernels' bare numbers are laid out here. Called by `ops`.
 */
import type { Kernels } from './abi.js';
import type { GradientMatrix } from './matrices.js';
import { type Matrix, rowAt, spanOf, vectorFrom } from './operands.js';
import { runRange, type Sharer } from './sharing.js';

/** What cross-entropy reads: logits [M, N], and the address of M int32 labels, of which `ignoreIndex` counts for nothing. */
export interface Labelled {
  readonly x: Matrix;
  readonly labels: number;
  readonly ignoreIndex: number;
}

/** out[m], int32: the first largest element of row m, or its first NaN. */
export function argmaxOf(k: Kernels, { rows, columns, pointer, stride }: Matrix, out: number): void {
  k.argmaxRows(rows, columns, pointer, stride, out);
}

/** y = softmax of each row of x. */
export function softmaxTo(k: Kernels, x: Matrix, y: Matrix): void {
  k.softmaxForward(x.rows, x.columns, x.pointer, x.stride, y.pointer, y.stride);
}

/** dx (+)= y ⊙ (dy - Σ dy·y), row by row. */
export function softmaxGradient(k: Kernels, y: Matrix, dy: Matrix, dx: GradientMatrix): void {
  const { rows: M, columns: N, pointer, stride } = y;
  k.softmaxBackward(M, N, pointer, stride, dy.pointer, dy.stride, dx.accumulate, dx.pointer, dx.stride);
}

/** Floating-point operations that the products do in the time of an element: what sharing it saves. */
const COST = 30;

/** loss[m] = logsumexp(row) - row[label], 0 for a row that is ignored. */
export function crossEntropyTo(
  { sharing }: Sharer,
  { x, labels, ignoreIndex }: Labelled,
  loss: number,
): void {
  const { rows: M, columns: N, stride: ldx } = x;
  runRange(sharing, {
    kernel: 'crossEntropyForward',
    flops: COST * M * N,
    bytes: 0,
    size: M,
    grain: 1,
    part: (from, count) => {
      const [of, to] = [vectorFrom(labels, from), vectorFrom(loss, from)];
      return [count, N, rowAt(x, from), ldx, of, ignoreIndex, to];
    },
    outputs: () => [{ pointer: loss, bytes: 4 * M }],
  });
}

/** Gradients of the rows' losses, each to be multiplied by `scale`. */
export interface LossGradient {
  readonly scale: number;
  readonly pointer: number;
  /** Elements from one row's gradient to the next's: 0 where all rows share one. */
  readonly stride: 0 | 1;
}

/** dx (+)= scale·dloss[m]·(softmax(row) - onehot(label)). */
export function crossEntropyGradient(
  { sharing }: Sharer,
  { x, labels, ignoreIndex }: Labelled,
  { scale, pointer, stride }: LossGradient,
  dx: GradientMatrix,
): void {
  const { rows: M, columns: N, stride: ldx } = x;
  const { accumulate: add, stride: ldo } = dx;
  runRange(sharing, {
    kernel: 'crossEntropyBackward',
    flops: COST * M * N,
    bytes: 0,
    size: M,
    grain: 1,
    part: (from, count) => {
      const [px, to, of] = [rowAt(x, from), rowAt(dx, from), vectorFrom(labels, from)];
      const dloss = vectorFrom(pointer, from * stride);
      return [count, N, px, ldx, of, ignoreIndex, scale, dloss, stride, add, to, ldo];
    },
    outputs: () => [spanOf(dx)],
  });
}
