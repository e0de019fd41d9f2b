/**
 * Operands of the products, as the layers above the binary interface see them: matrices in linear memory, and weights, whose
 * elements have a type. Rows and columns of an operand are another operand. `calls.ts` lays them out as a kernel's arguments.
 */
import { DTYPE_INFO, rowBytes, type WeightDType } from '../values/dtypes.js';

/** A row-major float32 matrix. */
export interface Matrix {
  /** Address of the first element. */
  readonly pointer: number;
  readonly rows: number;
  readonly columns: number;
  /** Elements from one row to the next. */
  readonly stride: number;
}

/** A row-major matrix of any type that the products read: its rows may be blocks, so columns are counted, not addressed. */
export interface Weight {
  readonly pointer: number;
  readonly rows: number;
  readonly columns: number;
  /** ggml's number of the type. */
  readonly code: number;
  /** Bytes from one row to the next. */
  readonly step: number;
  /** Column of the memory at which the matrix begins. */
  readonly from: number;
}

/** A low-rank operand left·right, or left·rightᵀ: the inner size is the rank, 0 where there is none. */
export interface LowRank {
  readonly left: Matrix;
  readonly right: Matrix;
}

/** @param stride - elements from one row to the next, default `columns` */
export function matrix(pointer: number, rows: number, columns: number, stride = columns): Matrix {
  return { pointer, rows, columns, stride };
}

/** @param stride - elements from one row to the next, default `columns` */
export function weight(
  pointer: number,
  rows: number,
  columns: number,
  dtype: WeightDType = 'f32',
  stride = columns,
): Weight {
  const { code } = DTYPE_INFO[dtype];
  return { pointer, rows, columns, code, step: rowBytes(stride, dtype), from: 0 };
}

const NOTHING = matrix(0, 0, 0);

/** No low-rank operand. */
export const NO_RANK: LowRank = { left: NOTHING, right: NOTHING };

/** Address of a row of a matrix; where it is absent (a null pointer), null. */
export function rowAt({ pointer, stride }: Matrix, row: number): number {
  return vectorFrom(pointer, row * stride);
}

/** Address of a column's first element. */
export function columnAt({ pointer }: Matrix, column: number): number {
  return vectorFrom(pointer, column);
}

/** Some rows of a matrix; where it is absent, nothing. */
export function rowsOf({ pointer, columns, stride }: Matrix, row: number, rows: number): Matrix {
  return { pointer: vectorFrom(pointer, row * stride), rows, columns, stride };
}

/** Some columns of a matrix. */
export function columnsOf({ pointer, rows, stride }: Matrix, column: number, columns: number): Matrix {
  return { pointer: vectorFrom(pointer, column), rows, columns, stride };
}

/** Rows and columns of a matrix. */
export function partOf(from: Matrix, row: number, rows: number, column: number, columns: number): Matrix {
  return columnsOf(rowsOf(from, row, rows), column, columns);
}

/** Some rows of a weight. */
export function weightRows(
  { pointer, columns, code, step, from }: Weight,
  row: number,
  rows: number,
): Weight {
  return { pointer: pointer + row * step, rows, columns, code, step, from };
}

/** Some columns of a weight. */
export function weightColumns(of: Weight, column: number, columns: number): Weight {
  const { pointer, rows, code, step, from } = of;
  return { pointer, rows, columns, code, step, from: from + column };
}

/** A vector's address moved on by elements; null stays null. */
export function vectorFrom(pointer: number, elements: number): number {
  return pointer === 0 ? 0 : pointer + 4 * elements;
}

/** A range of linear memory. */
export interface Span {
  readonly pointer: number;
  readonly bytes: number;
}

/** The bytes from a matrix's first element to its last. */
export function spanOf({ pointer, rows, columns, stride }: Matrix): Span {
  return { pointer, bytes: 4 * ((rows - 1) * stride + columns) };
}
