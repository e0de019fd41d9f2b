/**
 * The products of a linear layer over either layout of its weight, [out, in] or [in, out] (`fanInFanOut`), over all its
 * outputs or a range of them. Called by `linear` and the LoRA operations.
 */
import type { Runtime } from '../tensor/runtime.js';

/** Sizes of a linear product: M rows of x, N outputs, K inputs. */
export interface LinearSizes {
  readonly rt: Runtime;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  /** Whether the weight is stored [in, out]. */
  readonly fanInFanOut: boolean;
  /** Rows that the path is chosen for: M, or those of the whole batch that these rows were picked from. */
  readonly planRows: number;
}

/** A low-rank operand: two addresses with their strides, and the rank; rank 0 for none. */
export interface LowRank {
  readonly R: number;
  readonly left: number;
  readonly ldl: number;
  readonly right: number;
  readonly ldr: number;
}

export const NO_RANK: LowRank = { R: 0, left: 0, ldl: 0, right: 0, ldr: 0 };

/** Addresses of a product's operands. */
interface ForwardOperands {
  readonly x: number;
  readonly w: number;
  /** [N] or 0 */
  readonly bias: number;
  /** [M, N] */
  readonly y: number;
}

/**
 * y[:, from:from+size] = x·Wᵀ + left·rightᵀ + bias over those outputs; `low.left` [M, R], `low.right` [size, R].
 */
export function outputs(
  sizes: LinearSizes,
  from: number,
  size: number,
  at: ForwardOperands,
  low: LowRank,
): void {
  const { rt, M, N, K, fanInFanOut, planRows } = sizes;
  const { products, kernels } = rt.engine;
  const { x, w, bias } = at;
  const y = at.y + 4 * from;
  const shift = bias === 0 ? 0 : bias + 4 * from;
  const { R, left, ldl, right, ldr } = low;
  if (!fanInFanOut) {
    products.forward(
      M,
      size,
      K,
      R,
      x,
      K,
      w + 4 * from * K,
      K,
      left,
      ldl,
      right,
      ldr,
      0,
      shift,
      y,
      N,
      planRows,
    );
    return;
  }
  withTransposed(rt, size, R, right, ldr, (turned) => {
    products.backwardInput(M, K, size, R, x, K, w + 4 * from, N, left, ldl, turned, size, 0, y, N, planRows);
  });
  if (shift !== 0) kernels.affineColumns(M, size, y, N, 0, shift, y, N);
}

/** dx (+)= dy·W + left·right; `low.left` [M, R], `low.right` [R, K]. */
export function inputGradient(
  sizes: LinearSizes,
  dy: number,
  w: number,
  low: LowRank,
  accumulate: 0 | 1,
  dx: number,
): void {
  const { rt, M, N, K, fanInFanOut, planRows } = sizes;
  const { products, kernels } = rt.engine;
  const { R, left, ldl, right, ldr } = low;
  if (!fanInFanOut) {
    products.backwardInput(M, N, K, R, dy, N, w, K, left, ldl, right, ldr, accumulate, dx, K, planRows);
    return;
  }
  const sum = accumulate === 1 ? rt.empty([M, K], 'f32') : null;
  const out = sum?.pointer ?? dx;
  withTransposed(rt, R, K, right, ldr, (turned) => {
    products.forward(M, K, N, R, dy, N, w, N, left, ldl, turned, R, 0, 0, sum?.pointer ?? out, K, planRows);
  });
  if (sum === null) return;
  kernels.axpy(M * K, 1, sum.pointer, dx);
  sum.dispose();
}

/** dx (+)= left·right alone, `low.left` [M, R], `low.right` [R, K]. */
export function lowRankGradient(sizes: LinearSizes, low: LowRank, accumulate: 0 | 1, dx: number): void {
  const { rt, M, K, planRows } = sizes;
  const { R, left, ldl, right, ldr } = low;
  rt.engine.products.backwardInput(
    M,
    0,
    K,
    R,
    0,
    0,
    0,
    K,
    left,
    ldl,
    right,
    ldr,
    accumulate,
    dx,
    K,
    planRows,
  );
}

/** dW (+)= dyᵀ·x, in the weight's layout. */
export function weightGradient(
  sizes: LinearSizes,
  dy: number,
  x: number,
  accumulate: 0 | 1,
  dw: number,
): void {
  const { rt, M, N, K, fanInFanOut } = sizes;
  const { products } = rt.engine;
  if (fanInFanOut) products.backwardWeight(M, K, N, x, K, dy, N, accumulate, dw, N);
  else products.backwardWeight(M, N, K, dy, N, x, K, accumulate, dw, K);
}

/** Gives `use` the address of a[rows, cols] turned over, contiguous; 0 where there is nothing. */
export function withTransposed(
  rt: Runtime,
  rows: number,
  cols: number,
  a: number,
  lda: number,
  use: (turned: number) => void,
  s = 1,
): void {
  if (rows * cols === 0) {
    use(0);
    return;
  }
  const turned = rt.empty([cols, rows], 'f32');
  rt.engine.kernels.transposeScaled(rows, cols, s, a, lda, turned.pointer, rows);
  use(turned.pointer);
  turned.dispose();
}
