/**
 * A product as a job that can be cut: the size of its output, and the kernel's arguments for a share of it. `split.ts` cuts,
 * `products.ts` runs. Pointers move by rows and columns of what the share reads and writes; null pointers stay null.
 */
import type { Kernels } from './abi.js';
import type { Share } from './split.js';

/** Kernels that threads may share. */
export type SharedKernel = 'linearForward' | 'linearBackwardInput' | 'linearBackwardWeight';

/** A kernel's arguments without the scratch behind them. */
type Operands<Name extends SharedKernel> =
  Parameters<Kernels[Name]> extends [...infer Front extends number[], number] ? Front : never;

/** A range of linear memory. */
export interface Span {
  readonly pointer: number;
  readonly bytes: number;
}

function spanOf(pointer: number, rows: number, columns: number, stride: number): Span {
  return { pointer, bytes: 4 * ((rows - 1) * stride + columns) };
}

/** A product's output is [rows, columns], each element a sum over `depth`. */
export interface Job {
  readonly kernel: SharedKernel;
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  /** Bytes that the shares write: from the first element of the output up to its last. */
  readonly output: Span;
  share(part: Share, scratch: number): number[];
}

/** `pointer` moved on by elements, unless it is null. */
function moved(pointer: number, elements: number): number {
  return pointer === 0 ? 0 : pointer + 4 * elements;
}

/** Shares of y[M,N]: rows of x and h, rows of w and b. */
export function forwardJob(...operands: Operands<'linearForward'>): Job {
  const [path, M, N, K, R, x, ldx, w, ldw, h, ldh, b, ldb, colScale, bias, y, ldy] = operands;
  return {
    kernel: 'linearForward',
    rows: M,
    columns: N,
    depth: K + R,
    output: spanOf(y, M, N, ldy),
    share({ row, rows, column, columns }, scratch) {
      const left = [moved(x, row * ldx), ldx, moved(w, column * ldw), ldw];
      const lowRank = [moved(h, row * ldh), ldh, moved(b, column * ldb), ldb];
      const out = [moved(colScale, column), moved(bias, column), moved(y, row * ldy + column), ldy];
      return [path, rows, columns, K, R, ...left, ...lowRank, ...out, scratch];
    },
  };
}

/** Shares of dx[M,K]: rows of dy and u, columns of w and a. */
export function backwardInputJob(...operands: Operands<'linearBackwardInput'>): Job {
  const [path, M, N, K, R, dy, lddy, w, ldw, u, ldu, a, lda, accumulate, dx, lddx] = operands;
  return {
    kernel: 'linearBackwardInput',
    rows: M,
    columns: K,
    depth: N + R,
    output: spanOf(dx, M, K, lddx),
    share({ row, rows, column, columns }, scratch) {
      const left = [moved(dy, row * lddy), lddy, moved(w, column), ldw];
      const lowRank = [moved(u, row * ldu), ldu, moved(a, column), lda];
      const out = [accumulate, moved(dx, row * lddx + column), lddx];
      return [path, rows, N, columns, R, ...left, ...lowRank, ...out, scratch];
    },
  };
}

/** Shares of dw[N,K]: columns of dy, columns of x. */
export function backwardWeightJob(...operands: Operands<'linearBackwardWeight'>): Job {
  const [path, M, N, K, dy, lddy, x, ldx, accumulate, dw, lddw] = operands;
  return {
    kernel: 'linearBackwardWeight',
    rows: N,
    columns: K,
    depth: M,
    output: spanOf(dw, N, K, lddw),
    share({ row, rows, column, columns }, scratch) {
      const operandsOfShare = [moved(dy, row), lddy, moved(x, column), ldx];
      const out = [accumulate, moved(dw, row * lddw + column), lddw];
      return [path, M, rows, columns, ...operandsOfShare, ...out, scratch];
    },
  };
}
