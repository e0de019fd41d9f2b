/**
 * The products of a linear layer over either layout of its weight, [out, in] or [in, out] (`fanInFanOut`), over all its
 * outputs or a range of them. Called by `linear` and the LoRA operations.
 */

import { affineColumns, type GradientMatrix, transposeTo } from '../engine/matrices.js';
import {
  columnsOf,
  type LowRank,
  type Matrix,
  matrix,
  vectorFrom,
  type Weight,
  weight,
  weightColumns,
  weightRows,
} from '../engine/operands.js';
import type { Runtime } from '../tensor/runtime.js';
import type { WeightDType } from '../values/dtypes.js';

/** Sizes of a linear product: M rows of x, N outputs, K inputs. */
export interface LinearSizes {
  readonly rt: Runtime;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  /** Whether the weight is stored [in, out]. */
  readonly fanInFanOut: boolean;
  /** Type of the weight's elements. */
  readonly dtype: WeightDType;
  /** Rows that the path is chosen for: M, or those of the whole batch that these rows were picked from. */
  readonly planRows: number;
}

/** A range of a layer's outputs. */
export interface OutputRange {
  readonly from: number;
  readonly size: number;
}

/** Operands of a layer's forward. */
export interface OutputOperands {
  /** [M, K] */
  readonly x: Matrix;
  /** Address of the weight. */
  readonly w: number;
  /** Address of [N], or 0. */
  readonly bias: number;
  /** [M, N] */
  readonly y: Matrix;
}

/** The weight as it lies: [N, K], or [K, N]. */
export function weightAt({ N, K, fanInFanOut, dtype }: LinearSizes, pointer: number): Weight {
  return fanInFanOut ? weight(pointer, K, N, dtype) : weight(pointer, N, K, dtype);
}

/** y = x·Wᵀ + left·rightᵀ + bias over a range of the outputs; `low.left` [M, R], `low.right` [size, R]. */
export function outputs(
  sizes: LinearSizes,
  { from, size }: OutputRange,
  operands: OutputOperands,
  low: LowRank,
): void {
  const { rt, fanInFanOut, planRows } = sizes;
  const { products, kernels } = rt.engine;
  const { x } = operands;
  const w = weightAt(sizes, operands.w);
  const bias = vectorFrom(operands.bias, from);
  const y = columnsOf(operands.y, from, size);
  if (!fanInFanOut) {
    products.forward({ x, w: weightRows(w, from, size), low, colScale: 0, bias, y }, planRows);
    return;
  }
  withTransposed(rt, low.right, 1, (right) => {
    const part = { dy: x, w: weightColumns(w, from, size), low: { left: low.left, right } };
    products.backwardInput({ ...part, accumulate: 0, dx: y }, planRows);
  });
  if (bias !== 0) affineColumns(kernels, { x: y, scale: 0, shift: bias, y });
}

/** dx (+)= dy·W + left·right; `low.left` [M, R], `low.right` [R, K]; `w` the weight's address. */
export function inputGradient(
  sizes: LinearSizes,
  { dy, w: pointer, low }: { dy: Matrix; w: number; low: LowRank },
  dx: GradientMatrix,
): void {
  const { rt, M, K, fanInFanOut, planRows } = sizes;
  const { products, kernels } = rt.engine;
  const w = weightAt(sizes, pointer);
  if (!fanInFanOut) {
    products.backwardInput({ dy, w, low, accumulate: dx.accumulate, dx }, planRows);
    return;
  }
  const sum = dx.accumulate === 1 ? rt.empty([M, K], 'f32') : null;
  const y = sum === null ? dx : matrix(sum.pointer, M, K);
  withTransposed(rt, low.right, 1, (right) => {
    products.forward({ x: dy, w, low: { left: low.left, right }, colScale: 0, bias: 0, y }, planRows);
  });
  if (sum === null) return;
  kernels.axpy(M * K, 1, sum.pointer, dx.pointer);
  sum.dispose();
}

/** dx (+)= left·right alone, `low.left` [M, R], `low.right` [R, K]. */
export function lowRankGradient(rt: Runtime, low: LowRank, dx: GradientMatrix, planRows = dx.rows): void {
  const w = weight(0, 0, dx.columns);
  const dy = matrix(0, dx.rows, 0);
  rt.engine.products.backwardInput({ dy, w, low, accumulate: dx.accumulate, dx }, planRows);
}

/** dW (+)= dyᵀ·x, in the weight's layout; `dw` its address. */
export function weightGradient(
  { rt, N, K, fanInFanOut }: LinearSizes,
  { dy, x }: { dy: Matrix; x: Matrix },
  { pointer, accumulate }: { pointer: number; accumulate: 0 | 1 },
): void {
  const { products } = rt.engine;
  if (fanInFanOut) products.backwardWeight({ dy: x, x: dy, accumulate, dw: matrix(pointer, K, N) });
  else products.backwardWeight({ dy, x, accumulate, dw: matrix(pointer, N, K) });
}

/** Gives `use` s·aᵀ, contiguous; nothing where a is. */
export function withTransposed(rt: Runtime, a: Matrix, s: number, use: (turned: Matrix) => void): void {
  const { rows, columns } = a;
  if (rows * columns === 0) {
    use(matrix(0, columns, rows));
    return;
  }
  const turned = rt.empty([columns, rows], 'f32');
  const to = matrix(turned.pointer, columns, rows);
  transposeTo(rt.engine.kernels, s, a, to);
  use(to);
  turned.dispose();
}
