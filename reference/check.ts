/** Holds float32 results against float64 ones. Each check throws and names the first element that is wrong. */
import { roundingBound } from './products.js';

/** What an output must be: exact values and the bound of each element. */
export interface Expected {
  readonly values: Float64Array;
  readonly bounds: Float64Array;
}

function refuseWrong(what: string, i: number, got: number, value: number, bound: number): void {
  if (Math.abs(got - value) <= bound) return;
  throw new Error(`verify: ${what}: element ${i} is ${got}, expected ${value} within ${bound}`);
}

/**
 * Refuses a result with an element outside its bound (NaN included), or bounds so wide that they would prove nothing.
 * @throws Error naming the contestant, the element, what it is and what was expected
 */
export function verify(what: string, got: Float32Array, { values, bounds }: Expected): void {
  if (got.length !== values.length)
    throw new Error(`verify: ${what} has ${got.length} elements, expected ${values.length}`);
  let [largest, widest] = [0, 0];
  for (let i = 0; i < got.length; i++) {
    largest = Math.max(largest, Math.abs(values[i]!));
    widest = Math.max(widest, bounds[i]!);
    refuseWrong(what, i, got[i]!, values[i]!, bounds[i]!);
  }
  if (widest > 0.01 * largest)
    throw new Error(
      `verify: ${what}: bound is ${widest}, expected at most a hundredth of the largest value, ${largest}`,
    );
}

/** The largest error allowed is `share` of the largest expected value: for gradients, whose sums chain several layers. */
export function verifyClose(what: string, got: Float32Array, values: Float64Array, share = 1e-4): void {
  const largest = values.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
  verify(what, got, { values, bounds: new Float64Array(values.length).fill(share * largest) });
}

/** An element as a sum of products of two numbers: calls `add` for each. */
export type Sum = (add: (a: number, b: number) => void) => void;

const CHECKED = 300;

/** The four corners of a [rows, columns] result and some elements between, by their places. */
export function someOf(rows: number, columns: number): Set<number> {
  const count = rows * columns;
  const picked = new Set([0, columns - 1, count - columns, count - 1]);
  for (let i = 0; i < CHECKED && picked.size < count; i++) picked.add((i * 2654435761) % count);
  return picked;
}

/** Checks `someOf` a [rows, columns] result, each against its sum of `terms` terms. */
export function verifyElements(
  what: string,
  got: Float32Array,
  [rows, columns, terms]: readonly [rows: number, columns: number, terms: number],
  sumOf: (i: number, j: number) => Sum,
): void {
  let largest = 0;
  for (const at of someOf(rows, columns)) {
    let [value, size] = [0, 0];
    sumOf(
      Math.floor(at / columns),
      at % columns,
    )((a, b) => {
      value += a * b;
      size += Math.abs(a * b);
    });
    refuseWrong(what, at, got[at]!, value, roundingBound(terms, size));
    largest = Math.max(largest, size);
  }
  if (largest === 0) throw new Error(`verify: ${what}: every sum is of zeros, which would prove nothing`);
}
