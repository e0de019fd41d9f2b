/** The three products on shapes that fast-check draws, by the planned path, against float64; and what stands after them. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { planBackwardInput, planBackwardWeight, planForward } from '../../src/engine/plan.js';
import { describeBuilds, operand, weightOperand } from './harness.js';

const values = (n: number, seed: number): number[] =>
  Array.from({ length: n }, (_, i) => Math.fround(Math.sin(i * 12.9898 + seed) * 2));

/** Σ over k of a·b, and of |a||b|, for every row of a [M,K] and row of b [N,K]. */
function twin(
  M: number,
  N: number,
  K: number,
  a: (m: number, k: number) => number,
  b: (n: number, k: number) => number,
) {
  const [sums, sizes] = [new Float64Array(M * N), new Float64Array(M * N)];
  for (let m = 0; m < M; m++) {
    for (let n = 0; n < N; n++) {
      for (let k = 0; k < K; k++) {
        sums[m * N + n]! += a(m, k) * b(n, k);
        sizes[m * N + n]! += Math.abs(a(m, k) * b(n, k));
      }
    }
  }
  return { sums, sizes };
}

const shapes = fc.record({
  M: fc.integer({ min: 0, max: 70 }),
  N: fc.integer({ min: 0, max: 40 }),
  K: fc.integer({ min: 0, max: 90 }),
  R: fc.integer({ min: 0, max: 9 }),
});

describeBuilds((h) => {
  const within = (
    got: Float32Array,
    wanted: { sums: Float64Array; sizes: Float64Array },
    terms: number,
  ): void => {
    for (const [i, v] of got.entries()) {
      const bound = (terms + 2) * 2 ** -23 * wanted.sizes[i]!;
      if (!(Math.abs(v - wanted.sums[i]!) <= bound)) {
        throw new Error(`element ${i} is ${v}, expected ${wanted.sums[i]} within ${bound}`);
      }
    }
  };

  test('forward with scale and bias, any shape', () => {
    fc.assert(
      fc.property(shapes, ({ M, N, K, R }) => {
        h.reset();
        const [x, w, hidden, b] = [values(M * K, 1), values(N * K, 2), values(M * R, 3), values(N * R, 4)];
        const [colScale, bias] = [values(N, 5), values(N, 6)];
        const y = h.matrix(M, N, new Array<number>(M * N).fill(Number.NaN));
        const low = { left: operand(h.matrix(M, R, hidden)), right: operand(h.matrix(N, R, b)) };
        h.forward(planForward(h.level, M, N, K, R), {
          ...{ x: operand(h.matrix(M, K, x)), w: weightOperand(h.matrix(N, K, w)), low },
          ...{ colScale: h.f32(colScale), bias: h.f32(bias), y: operand(y) },
        });
        // The rank term, the scale and the bias are further terms of the same sum.
        const left = (m: number, k: number): number =>
          k < K ? x[m * K + k]! : k < K + R ? hidden[m * R + k - K]! : 1;
        const right = (n: number, k: number): number =>
          k < K ? colScale[n]! * w[n * K + k]! : k < K + R ? colScale[n]! * b[n * R + k - K]! : bias[n]!;
        within(h.values(y), twin(M, N, K + R + 1, left, right), K + R + 2);
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
        const low = { left: operand(h.matrix(M, R, u)), right: operand(h.matrix(R, K, a)) };
        const rows = operand(h.matrix(M, N, dy));
        h.backwardInput(planBackwardInput(h.level, M, N, K, R), {
          ...{ dy: rows, w: weightOperand(h.matrix(N, K, w)), low, accumulate: 0, dx: operand(dx) },
        });
        h.backwardWeight(planBackwardWeight(h.level, M, N, K), {
          ...{ dy: rows, x: operand(h.matrix(M, K, x)), accumulate: 1, dw: operand(dw) },
        });
        within(
          h.values(dx),
          twin(
            M,
            K,
            N + R,
            (m, n) => (n < N ? dy[m * N + n]! : u[m * R + n - N]!),
            (k, n) => (n < N ? w[n * K + k]! : a[(n - N) * K + k]!),
          ),
          N + R,
        );
        within(
          h.values(dw),
          twin(
            N,
            K,
            M + 1,
            (n, m) => (m < M ? dy[m * N + n]! : 1),
            (k, m) => (m < M ? x[m * K + k]! : 1),
          ),
          M + 1,
        );
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
      h.kernels.sumRows(M, N, at.ptr, at.ld, 1, db.ptr);
      expect([...h.values(db)]).toEqual(total.map((v) => v + 5));
      h.kernels.sumRows(M, N, at.ptr, at.ld, 0, db.ptr);
      expect([...h.values(db)]).toEqual(total);
      expect(h.intact(db)).toBe(true);
    }
  });
});
