/**
 * Sums of products in float64, each with the sum of its terms' sizes, which bounds what rounding may do to it. Called by the tests
 * of the kernels and by the benchmark, before it times anything.
 */

/** A matrix in memory: element [i, j] is `data[i * down + j * right]`. */
export interface View {
  readonly data: Float64Array;
  readonly down: number;
  readonly right: number;
}

/** A row-major matrix as it lies. */
export function asRows(data: ArrayLike<number>, columns: number): View {
  return { data: new Float64Array(data), down: columns, right: 1 };
}

/** The transpose of a row-major matrix of so many columns. */
export function asColumns(data: ArrayLike<number>, columns: number): View {
  return { data: new Float64Array(data), down: 1, right: columns };
}

/** Elements of a row-major result, and Σ|terms| of each. */
export interface Sums {
  readonly values: Float64Array;
  readonly sizes: Float64Array;
}

const ZERO = (): number => 0;

/** Sums that have one term: `start(i)`, zero by default. */
export function newSums(count: number, start: (i: number) => number = ZERO): Sums {
  const values = new Float64Array(count);
  for (let i = 0; i < count; i++) values[i] = start(i);
  return { values, sizes: values.map(Math.abs) };
}

/** Adds s·a·b, of [rows, depth] by [depth, columns]. @returns the same sums */
export function addProduct(sums: Sums, columns: number, depth: number, a: View, b: View, s = 1): Sums {
  const rows = columns === 0 ? 0 : sums.values.length / columns;
  // The inner loop goes along what lies together in b.
  const along = b.right === 1;
  const [outer, inner] = along ? [depth, columns] : [columns, depth];
  for (let i = 0; i < rows; i++) {
    const row = newSums(columns);
    for (let p = 0; p < outer; p++)
      for (let q = 0; q < inner; q++) {
        const [j, d] = along ? [q, p] : [p, q];
        const term = a.data[i * a.down + d * a.right]! * b.data[d * b.down + j * b.right]!;
        row.values[j]! += term;
        row.sizes[j]! += Math.abs(term);
      }
    for (let j = 0; j < columns; j++) {
      sums.values[i * columns + j]! += s * row.values[j]!;
      sums.sizes[i * columns + j]! += Math.abs(s) * row.sizes[j]!;
    }
  }
  return sums;
}

/** The rounding bound of a float32 sum of so many terms, whatever their order: (terms + 2)·2^-23·Σ|a||b|. */
export function roundingBound(terms: number, size: number): number {
  return (terms + 2) * 2 ** -23 * size;
}
