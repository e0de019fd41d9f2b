/**
 * The kernels of a layer's outputs with whole numbers, whose results are exact in float32 (norms: squares of whole numbers
 * whose roots are rounded once). Sizes around the vector width; outputs start as NaN, stride gaps must stay NaN.
 */
import { expect, it } from 'vitest';
import {
  addColumnSquares,
  affineColumns,
  affineRows,
  dotColumns,
  dotRows,
  rowNorms,
  transposeTo,
} from '../../src/engine/matrices.js';
import { type Matrix, rowsOf } from '../../src/engine/operands.js';
import { whole } from '../support/numbers.js';
import { describeBuilds } from './builds.js';

const SIZES = [0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33];
const SHAPES = SIZES.flatMap((M) => [[M, 5] as const, [3, M] as const, [M, M] as const]);

const draw = (n: number, seed: number): number[] => whole(n, seed, 3);

describeBuilds((h) => {
  const nothing = (rows: number, cols: number): Matrix =>
    h.matrix(rows, cols, new Array(rows * cols).fill(Number.NaN));
  const holds = (at: Matrix, want: readonly number[]): boolean => {
    const got = h.values(at);
    return want.every((w, i) => Object.is(got[i], Math.fround(w)) || got[i] === w) && h.intact(at);
  };
  const vector = (values: readonly number[]): Matrix => h.matrix(1, values.length, values, 0);

  it('affineColumns and affineRows, with and without scale and shift, in place too', () => {
    const bad: string[] = [];
    for (const [M, N] of h.some(SHAPES)) {
      for (const [withScale, withShift] of [
        [1, 1],
        [1, 0],
        [0, 1],
        [0, 0],
      ] as const) {
        for (const kernel of [affineColumns, affineRows]) {
          h.reset();
          const n = kernel === affineColumns ? N : M;
          const [x, scale, shift] = [draw(M * N, 1), draw(n, 2), draw(n, 3)];
          const want = x.map((v, i) => {
            const at = kernel === affineColumns ? i % N : Math.floor(i / N);
            return (withScale ? scale[at]! : 1) * v + (withShift ? shift[at]! : 0);
          });
          const [X, S, T, Y] = [h.matrix(M, N, x), vector(scale), vector(shift), nothing(M, N)];
          const given = { x: X, scale: withScale ? S.pointer : 0, shift: withShift ? T.pointer : 0 };
          kernel(h.kernels, { ...given, y: Y });
          kernel(h.kernels, { ...given, y: X });
          if (!holds(Y, want) || !holds(X, want))
            bad.push(`${kernel.name} ${M}x${N} ${withScale}${withShift}`);
        }
      }
    }
    expect(bad.slice(0, 3)).toEqual([]);
  });

  it('dotColumns and dotRows, weighted, overwriting and adding; rows of ones', () => {
    const bad: string[] = [];
    for (const [M, N] of h.some(SHAPES)) {
      for (const accumulate of [0, 1] as const) {
        for (const kernel of [dotColumns, dotRows]) {
          h.reset();
          const n = kernel === dotColumns ? N : M;
          const [a, b, w, start] = [draw(M * N, 1), draw(M * N, 2), draw(n, 3), draw(n, 4)];
          const sums = new Array<number>(n).fill(0);
          const ones = new Array<number>(n).fill(0);
          for (const [i, v] of a.entries()) {
            const at = kernel === dotColumns ? i % N : Math.floor(i / N);
            sums[at]! += v * b[i]!;
            ones[at]! += v;
          }
          const want = sums.map((v, i) => w[i]! * v + (accumulate ? start[i]! : 0));
          const [A, B, W] = [h.matrix(M, N, a), h.matrix(M, N, b), vector(w)];
          const out = accumulate ? vector(start) : vector(start.map(() => Number.NaN));
          kernel(h.kernels, A, B, W.pointer, { pointer: out.pointer, accumulate });
          if (!holds(out, want)) bad.push(`${kernel.name} ${M}x${N} accumulate ${accumulate}`);
          if (kernel === dotColumns) continue;
          const plain = vector(start.map(() => Number.NaN));
          dotRows(h.kernels, A, null, 0, { pointer: plain.pointer, accumulate: 0 });
          if (!holds(plain, ones)) bad.push(`dotRows of ones ${M}x${N}`);
        }
      }
    }
    expect(bad.slice(0, 3)).toEqual([]);
  });

  it('rowNorms, columnSquares and rootOfSums', () => {
    const bad: string[] = [];
    for (const [M, N] of h.some(SHAPES)) {
      h.reset();
      const x = draw(M * N, 5);
      const rows = new Array<number>(M).fill(0);
      const columns = new Array<number>(N).fill(0);
      for (const [i, v] of x.entries()) {
        rows[Math.floor(i / N)]! += v * v;
        columns[i % N]! += v * v;
      }
      const [X, R, C] = [h.matrix(M, N, x), nothing(1, M), nothing(1, N)];
      const sums = h.scratch(8 * N + 8);
      h.kernels.fill(2 * N, 0, sums);
      rowNorms(h.kernels, X, R.pointer);
      // In two parts: the sums go on.
      const half = M >> 1;
      addColumnSquares(h.kernels, rowsOf(X, 0, half), sums);
      addColumnSquares(h.kernels, rowsOf(X, half, M - half), sums);
      h.kernels.rootOfSums(N, sums, C.pointer);
      if (!holds(R, rows.map(Math.sqrt))) bad.push(`rowNorms ${M}x${N}`);
      if (!holds(C, columns.map(Math.sqrt))) bad.push(`columnSquares ${M}x${N}`);
    }
    expect(bad.slice(0, 3)).toEqual([]);
  });

  it('quotient gives 0 where it would divide by 0; transposeScaled', () => {
    const bad: string[] = [];
    // And more columns than transposeScaled takes at a time.
    for (const [M, N] of [...SHAPES, [130, 67], [7, 130], [130, 2], [66, 3]] as const) {
      h.reset();
      const [a, b] = [draw(M * N, 1), draw(M * N, 6).map((v) => (v === 3 ? 0 : 2 ** v))];
      const [A, B, Q] = [vector(a), vector(b), vector(a.map(() => Number.NaN))];
      h.kernels.quotient(M * N, A.pointer, B.pointer, Q.pointer);
      const quotients = a.map((v, i) => (b[i] === 0 ? 0 : v / b[i]!));
      if (!holds(Q, quotients)) bad.push(`quotient ${M * N}`);
      const [X, T] = [h.matrix(M, N, a), nothing(N, M)];
      transposeTo(h.kernels, -2, X, T);
      const want = Array.from({ length: M * N }, (_, i) => -2 * a[(i % M) * N + Math.floor(i / M)]!);
      if (!holds(T, want)) bad.push(`transposeScaled ${M}x${N}`);
    }
    expect(bad.slice(0, 3)).toEqual([]);
  });
});
