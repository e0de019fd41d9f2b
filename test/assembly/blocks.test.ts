/** Sizes beyond one block: of depth, of rows, of rank, and of the rows that the unpacked product takes at a time. */
import { expect, test } from 'vitest';
import { type Matrix, NO_RANK } from '../../src/engine/operands.js';
import { planBackwardWeight, planForward } from '../../src/engine/plan.js';
import { whole as wholeNumbers } from '../support/numbers.js';
import { describeBuilds } from './builds.js';
import { weightOperand } from './harness.js';

/** Whole numbers from -2 to 2: every sum here stays below 2^24 and is exact. */
const whole = (n: number, seed: number): number[] => wholeNumbers(n, seed, 2);

const PACKED = [4, 5, 6].flatMap((MR) => [(1 << 4) | MR, (2 << 4) | MR]);
const STREAM = 3 << 4;

describeBuilds((h) => {
  const same = (at: Matrix, wanted: (row: number, col: number) => number, what: string): void => {
    const got = h.values(at);
    for (let i = 0; i < got.length; i++) {
      const value = wanted(Math.floor(i / at.columns), i % at.columns);
      if (got[i] !== value) throw new Error(`${what}: element ${i} is ${got[i]}, expected ${value}`);
    }
    expect(h.intact(at), what).toBe(true);
  };

  test.each([
    [3, 11, 511, 0],
    [7, 9, 1030, 5],
    [301, 9, 13, 0],
    [605, 9, 13, 3],
    [5, 9, 512, 63],
    [5, 9, 513, 64],
    [5, 9, 20, 65],
    [5, 9, 20, 100],
  ])('forward, M %d N %d K %d R %d, exactly on every path', (M, N, K, R) => {
    const [x, w, hidden, b] = [whole(M * K, 1), whole(N * K, 2), whole(M * R, 3), whole(N * R, 4)];
    const wanted = (m: number, n: number): number => {
      let sum = 0;
      for (let k = 0; k < K; k++) sum += x[m * K + k]! * w[n * K + k]!;
      for (let r = 0; r < R; r++) sum += hidden[m * R + r]! * b[n * R + r]!;
      return sum;
    };
    for (const path of [4, 6, ...PACKED.filter((p) => p >> 4 === 1)]) {
      h.reset();
      const [px, pw, ph, pb] = [
        h.matrix(M, K, x),
        h.matrix(N, K, w),
        h.matrix(M, R, hidden),
        h.matrix(N, R, b),
      ];
      const y = h.matrix(M, N, new Array<number>(M * N).fill(Number.NaN));
      h.forward(path, {
        ...{ x: px, w: weightOperand(pw), low: { left: ph, right: pb } },
        ...{ colScale: 0, bias: 0, y },
      });
      same(y, wanted, `path ${path}`);
    }
  });

  test('forward, more rows than the unpacked product takes at a time', () => {
    h.reset();
    const [M, N, K] = [131, 7, 4096];
    const [x, w] = [whole(M * K, 1), whole(N * K, 2)];
    const [px, pw] = [h.matrix(M, K, x), h.matrix(N, K, w)];
    const y = h.matrix(M, N, new Array<number>(M * N).fill(Number.NaN));
    h.forward(planForward(1, M, N, K, 0), {
      ...{ x: px, w: weightOperand(pw), low: NO_RANK },
      ...{ colScale: 0, bias: 0, y },
    });
    same(y, (m, n) => w.slice(n * K, (n + 1) * K).reduce((sum, v, k) => sum + v * x[m * K + k]!, 0), 'dot');
  });

  test.each([
    [3, 511, 11, 0],
    [1, 512, 9, 2],
    [2, 513, 19, 64],
    [7, 1030, 16, 65],
    [305, 20, 11, 5],
    [5, 1030, 17, 100],
  ])('backward to the input, M %d N %d K %d R %d, exactly on every path', (M, N, K, R) => {
    const [dy, w, u, a] = [whole(M * N, 1), whole(N * K, 2), whole(M * R, 3), whole(R * K, 4)];
    const wanted = (m: number, k: number): number => {
      let sum = 0;
      for (let n = 0; n < N; n++) sum += dy[m * N + n]! * w[n * K + k]!;
      for (let r = 0; r < R; r++) sum += u[m * R + r]! * a[r * K + k]!;
      return sum;
    };
    for (const path of [...PACKED, STREAM]) {
      for (const accumulate of [0, 1] as const) {
        h.reset();
        const [pdy, pw, pu, pa] = [
          h.matrix(M, N, dy),
          h.matrix(N, K, w),
          h.matrix(M, R, u),
          h.matrix(R, K, a),
        ];
        const dx = h.matrix(M, K, new Array<number>(M * K).fill(accumulate === 1 ? 3 : Number.NaN));
        h.backwardInput(path, {
          ...{ dy: pdy, w: weightOperand(pw), low: { left: pu, right: pa } },
          ...{ accumulate, dx },
        });
        same(dx, (m, k) => wanted(m, k) + 3 * accumulate, `path ${path}, accumulate ${accumulate}`);
      }
    }
  });

  test.each([
    [511, 9, 11],
    [513, 7, 9],
    [1030, 6, 17],
    [4, 605, 9],
  ])('backward to the weight, M %d N %d K %d, exactly on every path', (M, N, K) => {
    const [dy, x] = [whole(M * N, 1), whole(M * K, 2)];
    const wanted = (n: number, k: number): number => {
      let sum = 0;
      for (let m = 0; m < M; m++) sum += dy[m * N + n]! * x[m * K + k]!;
      return sum;
    };
    for (const path of [planBackwardWeight(h.level, M, N, K), ...PACKED, STREAM]) {
      for (const accumulate of [0, 1] as const) {
        h.reset();
        const [pdy, px] = [h.matrix(M, N, dy), h.matrix(M, K, x)];
        const dw = h.matrix(N, K, new Array<number>(N * K).fill(accumulate === 1 ? 3 : Number.NaN));
        h.backwardWeight(path, { dy: pdy, x: px, accumulate, dw: dw });
        same(dw, (n, k) => wanted(n, k) + 3 * accumulate, `path ${path}, accumulate ${accumulate}`);
      }
    }
  });
});
