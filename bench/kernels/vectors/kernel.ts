/** What the families of vector kernels say of each: operands, work, the call, and what its result must be. */
import type { Runtime } from 'lora-wasm';
import type { At } from '../../../reference/rows.js';

type Kernels = Runtime['engine']['kernels'];

type Five<T> = readonly [T, T, T, T, T];
export type Run = (kernels: Kernels, p: Five<number>, N: number, M: number) => unknown;
/** Element i of the result; of operands the numbers before the call. */
export type Value = (before: Five<At>, i: number, N: number, M: number) => number;

/**
 * A kernel. Moves: 4-byte values of an element that are read, written, and twice where it is both. Flops: operations on vectors
 * of four that a vector takes, a multiply-add counted as two, a division or root as `DIVISION`: at the speed of the ceiling's loop
 * they are flops an element. `out` is the operand that is the result, or null: the number that `run` gives.
 */
export type VectorKernel = readonly [
  head: readonly [operation: string, moves: number, flops: number, out: number | null],
  run: Run,
  value: Value,
  more?: More,
];

export interface More {
  /** N of a kernel over rows of [M,N]; absent: M is 1 and N the number of elements. */
  readonly columns?: number;
  /** Elements of each operand, filled from U(-1, 1), as `MN N 2M`; default: as many `MN` as the element moves, four at most. */
  readonly operands?: string;
  /** The operand that holds i32 from 0 up to `below`. */
  readonly numbers?: { readonly operand: number; readonly below: (M: number, N: number) => number };
  /** The operand that must not be negative: a variance, or what a sum would cancel of. */
  readonly squared?: number;
  /** The result is i32. */
  readonly outNumbers?: boolean;
}

/** A vector in 3 cycles on today's cores, which start four operations in each: `quotient`, with two of its own, takes 3 cycles. */
export const DIVISION = 10;

/** The sum of `count` terms, the first at `from`, `step` apart. */
export function sumOf(from: number, count: number, step: number, term: (at: number) => number): number {
  let total = 0;
  for (let i = 0, at = from; i < count; i++, at += step) total += term(at);
  return total;
}
