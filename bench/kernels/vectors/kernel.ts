/** What the families of vector kernels say of each: operands, work, the call, and what its result must be. */
import type { Runtime } from 'lora-wasm';
import type { Sum } from '../cases.js';

export type Kernels = Runtime['engine']['kernels'];

export interface VectorKernel {
  readonly operation: string;
  /** N of a kernel over rows of [M,N]; absent: M is 1 and N the number of elements. */
  readonly columns?: number;
  /** 4-byte values that an element moves: read, written, and twice where it is both. */
  readonly moves: number;
  /**
   * Operations on vectors of four that a vector takes, a multiply-add counted as two: at the speed of the ceiling's loop they
   * are flops an element. A division or root counts as `DIVISION`.
   */
  readonly flops: number;
  /** Elements of each operand, filled from U(-1, 1); default: as many arrays of M·N as the element moves, four at most. */
  readonly operands?: (M: number, N: number) => number[];
  /** The operand that holds i32 from 0 up to `below`. */
  readonly numbers?: { readonly operand: number; readonly below: (M: number, N: number) => number };
  /** The operand that must not be negative. */
  readonly squared?: number;
  readonly run: (kernels: Kernels, p: readonly number[], M: number, N: number) => unknown;
  /** Element i of the result as a sum of products of what the operands held before the call. */
  readonly value: (before: readonly Float32Array[], i: number, M: number, N: number) => Sum;
  /** Which operand is the result, as i32 if `outNumbers`; null: the number that `run` gives. */
  readonly out: number | null;
  readonly outNumbers?: boolean;
}

/** A vector in 3 cycles on today's cores, which start four operations in each: `quotient`, with two of its own, takes 3 cycles. */
export const DIVISION = 10;

/** The sum of one number that cannot be written as products: its rounding bound is its own size. */
export const one =
  (value: number): Sum =>
  (add) =>
    add(1, value);

/** Terms of a row that begins at `from`. */
export const overRow =
  (from: number, N: number, term: (at: number) => readonly [number, number]): Sum =>
  (add) => {
    for (let at = from; at < from + N; at++) add(...term(at));
  };

/** The i32 that a Float32Array's bits are. */
export const numbersOf = (bits: Float32Array): Int32Array =>
  new Int32Array(bits.buffer, bits.byteOffset, bits.length);
