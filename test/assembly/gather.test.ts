/** Rows and columns of a table by number: copies and ordered sums, exactly, at every width around a vector. */
import { expect, test } from 'vitest';
import { gatherColumns, gatherRows, scatterAddColumns, scatterAddRows } from '../../src/engine/matrices.js';
import type { Matrix } from '../../src/engine/operands.js';
import { whole as wholeNumbers } from '../support/numbers.js';
import { describeBuilds } from './builds.js';
import { weightOperand } from './harness.js';

const WIDTHS = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33, 130];
const COUNTS = [0, 1, 2, 7, 20];
const ENTRIES = 6;

const whole = (n: number, seed: number): number[] => wholeNumbers(n, seed, 14);
const nans = (n: number): number[] => new Array<number>(n).fill(Number.NaN);
const idsOf = (M: number): number[] => Array.from({ length: M }, (_, m) => (m * m * 5 + 3) % ENTRIES);

describeBuilds((h) => {
  const expectExact = (at: Matrix, wanted: number[], what: string): void => {
    expect([...h.values(at)], what).toEqual(wanted);
    expect(h.intact(at), what).toBe(true);
  };

  test('gatherRows and gatherColumns copy what the ids name', () => {
    for (const width of WIDTHS) {
      for (const M of COUNTS) {
        h.reset();
        const ids = idsOf(M);
        const table = whole(ENTRIES * width, 1);
        const at = h.i32(ids);
        const rows = h.matrix(ENTRIES, width, table);
        const y = h.matrix(M, width, nans(M * width), 5);
        gatherRows(h.kernels, at, weightOperand(rows), y);
        const wanted = ids.flatMap((id) => table.slice(id * width, (id + 1) * width));
        expectExact(y, wanted, `rows, width ${width}, M ${M}`);

        const columns = h.matrix(width, ENTRIES, table);
        const hidden = h.matrix(M, width, nans(M * width), 2);
        gatherColumns(h.kernels, at, columns, hidden);
        const byColumn = ids.flatMap((id) =>
          Array.from({ length: width }, (_, r) => table[r * ENTRIES + id]!),
        );
        expectExact(hidden, byColumn, `columns, width ${width}, M ${M}`);
      }
    }
  });

  test.each([-1, 3])('scatterAddRows and scatterAddColumns add, repeated ids too; skip %d', (skip) => {
    for (const width of WIDTHS) {
      for (const M of COUNTS) {
        h.reset();
        const ids = idsOf(M);
        const [table, dy] = [whole(ENTRIES * width, 1), whole(M * width, 2)];
        const [byRow, byColumn] = [[...table], [...table]];
        for (const [m, id] of ids.entries()) {
          if (id === skip) continue;
          for (let j = 0; j < width; j++) {
            byRow[id * width + j]! += dy[m * width + j]!;
            byColumn[j * ENTRIES + id]! += dy[m * width + j]!;
          }
        }
        const at = h.i32(ids);
        const from = h.matrix(M, width, dy, 1);
        const rows = h.matrix(ENTRIES, width, table);
        const columns = h.matrix(width, ENTRIES, table);
        scatterAddRows(h.kernels, at, skip, from, rows);
        scatterAddColumns(h.kernels, at, skip, from, columns);
        expectExact(rows, byRow, `rows, width ${width}, M ${M}`);
        expectExact(columns, byColumn, `columns, width ${width}, M ${M}`);
      }
    }
  });

  test('sums go in the order of m', () => {
    h.reset();
    const at = h.i32([0, 0, 0]);
    // 1 is lost beside 2^25, in this order and no other.
    const from = h.matrix(
      3,
      5,
      [2 ** 25, 1, -(2 ** 25)].flatMap((v) => new Array<number>(5).fill(v)),
    );
    const table = h.matrix(1, 5, [0, 0, 0, 0, 0]);
    scatterAddRows(h.kernels, at, -1, from, table);
    expectExact(table, [0, 0, 0, 0, 0], 'rows');
  });
});
