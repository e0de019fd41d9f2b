/** The three products on shapes that fast-check draws, by the planned path, against float64; and what stands after them. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  addProduct,
  asColumns,
  asRows,
  newSums,
  roundingBound,
  type Sums,
} from '../../reference/products.js';
import { sumRows } from '../../src/engine/matrices.js';
import { planBackwardInput, planBackwardWeight, planForward } from '../../src/engine/plan.js';
import { real } from '../support/numbers.js';
import { describeBuilds } from './builds.js';
import { weightOperand } from './harness.js';

const values = (n: number, seed: number): number[] => real(n, seed, 2);

const shapes = fc.record({
  M: fc.integer({ min: 0, max: 70 }),
  N: fc.integer({ min: 0, max: 40 }),
  K: fc.integer({ min: 0, max: 90 }),
  R: fc.integer({ min: 0, max: 9 }),
});

describeBuilds((h) => {
  const within = (got: Float32Array, { values, sizes }: Sums, terms: number): void => {
    for (const [i, v] of got.entries()) {
      const bound = roundingBound(terms, sizes[i]!);
      if (!(Math.abs(v - values[i]!) <= bound))
        throw new Error(`element ${i} is ${v}, expected ${values[i]} within ${bound}`);
    }
  };

  test('forward with scale and bias, any shape', () => {
    fc.assert(
      fc.property(shapes, ({ M, N, K, R }) => {
        h.reset();
        const [x, w, hidden, b] = [values(M * K, 1), values(N * K, 2), values(M * R, 3), values(N * R, 4)];
        const [colScale, bias] = [values(N, 5), values(N, 6)];
        const y = h.matrix(M, N, new Array<number>(M * N).fill(Number.NaN));
        const low = { left: h.matrix(M, R, hidden), right: h.matrix(N, R, b) };
        h.forward(planForward(h.level, M, N, K, R), {
          ...{ x: h.matrix(M, K, x), w: weightOperand(h.matrix(N, K, w)), low },
          ...{ colScale: h.f32(colScale), bias: h.f32(bias), y },
        });
        // The rank term, the scale and the bias are further terms of the same sum.
        const scaled = (rows: number[], columns: number): number[] =>
          rows.map((v, i) => colScale[Math.floor(i / columns)]! * v);
        const sums = newSums(M * N, (i) => bias[i % N]!);
        addProduct(sums, N, K, asRows(x, K), asColumns(scaled(w, K), K));
        addProduct(sums, N, R, asRows(hidden, R), asColumns(scaled(b, R), R));
        within(h.values(y), sums, K + R + 2);
        expect(h.intact(y)).toBe(true);
      }),
      { numRuns: h.runs(150) },
    );
  });

  test('backward to the input and to the weight, any shape', () => {
    fc.assert(
      fc.property(shapes, ({ M, N, K, R }) => {
        h.reset();
        const [dy, w, u, a, x] = [
          values(M * N, 1),
          values(N * K, 2),
          values(M * R, 3),
          values(R * K, 4),
          values(M * K, 5),
        ];
        const dx = h.matrix(M, K, new Array<number>(M * K).fill(Number.NaN));
        const dw = h.matrix(N, K, new Array<number>(N * K).fill(1));
        const low = { left: h.matrix(M, R, u), right: h.matrix(R, K, a) };
        const rows = h.matrix(M, N, dy);
        h.backwardInput(planBackwardInput(h.level, M, N, K, R), {
          ...{ dy: rows, w: weightOperand(h.matrix(N, K, w)), low, accumulate: 0, dx },
        });
        h.backwardWeight(planBackwardWeight(h.level, M, N, K), {
          ...{ dy: rows, x: h.matrix(M, K, x), accumulate: 1, dw: dw },
        });
        const input = addProduct(newSums(M * K), K, N, asRows(dy, N), asRows(w, K));
        addProduct(input, K, R, asRows(u, R), asRows(a, K));
        within(h.values(dx), input, N + R);
        const ones = newSums(N * K, () => 1);
        within(h.values(dw), addProduct(ones, K, M, asColumns(dy, N), asRows(x, K)), M + 1);
        expect(h.intact(dx) && h.intact(dw)).toBe(true);
      }),
      { numRuns: h.runs(150) },
    );
  });

  test.each([0, 1, 3, 4, 5, 19])('sums over the rows of [M, %d], exactly', (N) => {
    for (const M of [0, 1, 2, 7]) {
      h.reset();
      const dy = Array.from({ length: M * N }, (_, i) => (i % 17) - 8);
      const [at, db] = [h.matrix(M, N, dy), h.matrix(1, N, new Array<number>(N).fill(5))];
      const total = Array.from({ length: N }, (_, n) =>
        dy.reduce((sum, v, i) => (i % N === n ? sum + v : sum), 0),
      );
      sumRows(h.kernels, at, { pointer: db.pointer, accumulate: 1 });
      expect([...h.values(db)]).toEqual(total.map((v) => v + 5));
      sumRows(h.kernels, at, { pointer: db.pointer, accumulate: 0 });
      expect([...h.values(db)]).toEqual(total);
      expect(h.intact(db)).toBe(true);
    }
  });
});
