/**
 * Kernels over rows of classes as the operations call them, operands as records: softmax, cross-entropy, the largest of a row.
 * The kernels' bare numbers are laid out here. Called by `ops`.
 */
import type { Kernels } from './abi.js';
import type { GradientMatrix } from './matrices.js';
import type { Matrix } from './operands.js';

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

/** loss[m] = logsumexp(row) - row[label], 0 for a row that is ignored. */
export function crossEntropyTo(k: Kernels, { x, labels, ignoreIndex }: Labelled, loss: number): void {
  k.crossEntropyForward(x.rows, x.columns, x.pointer, x.stride, labels, ignoreIndex, loss);
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
  k: Kernels,
  { x, labels, ignoreIndex }: Labelled,
  { scale: s, pointer: dloss, stride: each }: LossGradient,
  dx: GradientMatrix,
): void {
  const { rows: M, columns: N, pointer, stride } = x;
  const { accumulate: add, pointer: to, stride: ldd } = dx;
  k.crossEntropyBackward(M, N, pointer, stride, labels, ignoreIndex, s, dloss, each, add, to, ldd);
}
