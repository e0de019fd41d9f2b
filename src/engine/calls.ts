/**
 * A product as a record: its operands, the share of it that a part of its output makes, and the arguments of the kernel. The
 * only place that lays operands out as bare numbers. `products.ts` plans and runs, `split.ts` cuts; tests call the same form.
 */
import {
  columnsOf,
  type LowRank,
  type Matrix,
  partOf,
  rowsOf,
  vectorFrom,
  type Weight,
  weightColumns,
  weightRows,
} from './operands.js';
import type { Share } from './split.js';

/** y = colScale ⊙ (x·Wᵀ + left·rightᵀ) + bias. */
export interface ForwardOperands {
  /** [M, K] */
  readonly x: Matrix;
  /** [N, K] */
  readonly w: Weight;
  /** left [M, R], right [N, R], already scaled */
  readonly low: LowRank;
  /** Address of [N], or 0. */
  readonly colScale: number;
  /** Address of [N], or 0. */
  readonly bias: number;
  /** [M, N] */
  readonly y: Matrix;
}

/** dx (+)= dy·W + left·right. */
export interface BackwardInputOperands {
  /** [M, N] */
  readonly dy: Matrix;
  /** [N, K]; N may be 0 */
  readonly w: Weight;
  /** left [M, R], right [R, K] */
  readonly low: LowRank;
  readonly accumulate: 0 | 1;
  /** [M, K] */
  readonly dx: Matrix;
}

/** dW (+)= dyᵀ·x. */
export interface BackwardWeightOperands {
  /** [M, N] */
  readonly dy: Matrix;
  /** [M, K] */
  readonly x: Matrix;
  readonly accumulate: 0 | 1;
  /** [N, K] */
  readonly dw: Matrix;
}

/** Kernels that threads may share. */
export type SharedKernel = 'linearForward' | 'linearBackwardInput' | 'linearBackwardWeight';

/** A product that can be cut: each element of `output` is a sum over `depth`. */
export interface Call {
  readonly kernel: SharedKernel;
  readonly output: Matrix;
  readonly depth: number;
  /** The kernel's arguments for a part of the output. */
  share(part: Share, scratch: number): number[];
  /** The kernel's arguments for all of it. */
  whole(scratch: number): number[];
}

export function forwardCall(path: number, operands: ForwardOperands): Call {
  return {
    kernel: 'linearForward',
    output: operands.y,
    depth: operands.x.columns + operands.low.left.columns,
    whole: (scratch) => forwardArguments(path, operands, scratch),
    share: (part, scratch) => forwardArguments(path, forwardShare(operands, part), scratch),
  };
}

export function backwardInputCall(path: number, operands: BackwardInputOperands): Call {
  return {
    kernel: 'linearBackwardInput',
    output: operands.dx,
    depth: operands.dy.columns + operands.low.left.columns,
    whole: (scratch) => backwardInputArguments(path, operands, scratch),
    share: (part, scratch) => backwardInputArguments(path, backwardInputShare(operands, part), scratch),
  };
}

export function backwardWeightCall(path: number, operands: BackwardWeightOperands): Call {
  return {
    kernel: 'linearBackwardWeight',
    output: operands.dw,
    depth: operands.x.rows,
    whole: (scratch) => backwardWeightArguments(path, operands, scratch),
    share: (part, scratch) => backwardWeightArguments(path, backwardWeightShare(operands, part), scratch),
  };
}

/** Rows of x and left, rows of w and right. */
function forwardShare(of: ForwardOperands, { row, rows, column, columns }: Share): ForwardOperands {
  return {
    x: rowsOf(of.x, row, rows),
    w: weightRows(of.w, column, columns),
    low: { left: rowsOf(of.low.left, row, rows), right: rowsOf(of.low.right, column, columns) },
    colScale: vectorFrom(of.colScale, column),
    bias: vectorFrom(of.bias, column),
    y: partOf(of.y, row, rows, column, columns),
  };
}

/** Rows of dy and left, columns of w and right. */
function backwardInputShare(
  of: BackwardInputOperands,
  { row, rows, column, columns }: Share,
): BackwardInputOperands {
  return {
    dy: rowsOf(of.dy, row, rows),
    w: weightColumns(of.w, column, columns),
    low: { left: rowsOf(of.low.left, row, rows), right: columnsOf(of.low.right, column, columns) },
    accumulate: of.accumulate,
    dx: partOf(of.dx, row, rows, column, columns),
  };
}

/** Columns of dy, columns of x. */
function backwardWeightShare(
  of: BackwardWeightOperands,
  { row, rows, column, columns }: Share,
): BackwardWeightOperands {
  return {
    dy: columnsOf(of.dy, row, rows),
    x: columnsOf(of.x, column, columns),
    accumulate: of.accumulate,
    dw: partOf(of.dw, row, rows, column, columns),
  };
}

function forwardArguments(path: number, of: ForwardOperands, scratch: number): number[] {
  const { w, low, colScale: s, bias, y } = of;
  const { rows: M, columns: K, pointer: x, stride: ldx } = of.x;
  const { columns: R, pointer: h, stride: ldh } = low.left;
  const { pointer: b, stride: ldb } = low.right;
  const { rows: N, code, pointer: pw, step } = w;
  return [path, M, N, K, R, x, ldx, code, pw, step, h, ldh, b, ldb, s, bias, y.pointer, y.stride, scratch];
}

function backwardInputArguments(path: number, of: BackwardInputOperands, scratch: number): number[] {
  const { w, low, accumulate: add } = of;
  const { rows: M, columns: K, pointer: dx, stride: lddx } = of.dx;
  const { pointer: dy, stride: lddy } = of.dy;
  const { columns: R, pointer: u, stride: ldu } = low.left;
  const { pointer: a, stride: lda } = low.right;
  const { rows: N, code, pointer: pw, step, from } = w;
  return [path, M, N, K, R, dy, lddy, code, pw, step, from, u, ldu, a, lda, add, dx, lddx, scratch];
}

function backwardWeightArguments(path: number, of: BackwardWeightOperands, scratch: number): number[] {
  const { rows: M, pointer: x, stride: ldx } = of.x;
  const { pointer: dy, stride: lddy } = of.dy;
  const { rows: N, columns: K, pointer: dw, stride: lddw } = of.dw;
  return [path, M, N, K, dy, lddy, x, ldx, of.accumulate, dw, lddw, scratch];
}
