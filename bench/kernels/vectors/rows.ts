/** Softmax, cross-entropy and layer norm over rows: each reads a row from memory once, and then again from a cache. */
import { logSumExp, moments } from '../../../reference/rows.js';
import {
  gradientMatrix,
  layerNormGamma,
  layerNormGradient,
  normalise,
} from '../../../src/engine/matrices.js';
import { matrix } from '../../../src/engine/operands.js';
import { EXP } from './elementwise.js';
import { sumOf, type VectorKernel } from './kernel.js';

const CLASSES = [10, 1000, 32000];
const WIDTH = 768;
const EPS = 1e-5;

const rowStart = (i: number, N: number): number => Math.floor(i / N) * N;
const labels = { operand: 1, below: (_: number, N: number): number => N };

const overClasses = (columns: number): VectorKernel[] => [
  [
    ['softmax', 2, EXP + 6, 1],
    (k, [x, y], N, M) => k.softmaxForward(M, N, x, N, y, N),
    ([x], i, N) => Math.exp(x(i) - logSumExp(x, rowStart(i, N), N)),
    { columns },
  ],
  [
    ['softmax backward', 3, 6, 2],
    (k, [y, dy, dx], N, M) => k.softmaxBackward(M, N, y, N, dy, N, 0, dx, N),
    ([y, dy], i, N) => y(i) * (dy(i) - sumOf(rowStart(i, N), N, 1, (at) => y(at) * dy(at))),
    { columns },
  ],
  [
    ['cross-entropy', 1, EXP + 5, 2],
    (k, [x, ids, y], N, M) => k.crossEntropyForward(M, N, x, N, ids, -100, y),
    ([x, ids], m, N) => logSumExp(x, m * N, N) - x(m * N + ids(m)),
    { columns, operands: 'MN M M', numbers: labels },
  ],
  [
    ['cross-entropy backward', 2, EXP + 7, 3],
    (k, [x, ids, dy, dx], N, M) => k.crossEntropyBackward(M, N, x, N, ids, -100, 0.5, dy, 1, 0, dx, N),
    ([x, ids, dy], i, N) => {
      const m = Math.floor(i / N);
      const hit = ids(m) === i % N ? 1 : 0;
      return 0.5 * dy(m) * (Math.exp(x(i) - logSumExp(x, m * N, N)) - hit);
    },
    { columns, operands: 'MN M M MN', numbers: labels },
  ],
];

/** Mean and rstd of a row are two numbers like any others to the backward kernels: they are drawn, not computed. */
const LAYER_NORM: readonly VectorKernel[] = [
  [
    ['layerNorm', 2, 8, 4],
    (k, [x, gamma, beta, stats, y], N, M) =>
      normalise(k, EPS, { x: matrix(x, M, N), gamma, beta, y: matrix(y, M, N), stats }),
    ([x, gamma, beta], i, N) => {
      const { mean, rstd } = moments(x, rowStart(i, N), N, EPS);
      return gamma(i % N) * rstd * (x(i) - mean) + beta(i % N);
    },
    { columns: WIDTH, operands: 'MN N N 2M MN' },
  ],
  [
    ['layerNorm backward', 3, 12, 4],
    (k, [x, gamma, stats, dy, dx], N, M) =>
      layerNormGradient(
        k,
        { x: matrix(x, M, N), gamma, stats, dy: matrix(dy, M, N) },
        gradientMatrix({ pointer: dx, accumulate: 0 }, M, N),
      ),
    ([x, gamma, stats, dy], i, N) => {
      const from = rowStart(i, N);
      const [mean, rstd] = [stats((2 * from) / N), stats((2 * from) / N + 1)];
      const hat = (at: number): number => (x(at) - mean) * rstd;
      const g = (at: number): number => dy(at) * gamma(at % N);
      const [sum, sumHat] = [g, (at: number) => g(at) * hat(at)].map((term) => sumOf(from, N, 1, term));
      return rstd * (g(i) - (sum! + hat(i) * sumHat!) / N);
    },
    { columns: WIDTH, operands: 'MN N 2M MN MN' },
  ],
  [
    ['layerNorm dgamma', 2, 4, 3],
    (k, [x, stats, dy, dgamma], N, M) =>
      layerNormGamma(
        k,
        { x: matrix(x, M, N), stats, dy: matrix(dy, M, N) },
        { pointer: dgamma, accumulate: 0 },
      ),
    ([x, stats, dy], n, N, M) =>
      sumOf(n, M, N, (at) => {
        const row = (2 * (at - n)) / N;
        return dy(at) * stats(row + 1) * (x(at) - stats(row));
      }),
    { columns: WIDTH, operands: 'MN 2M MN N' },
  ],
];

export const ROWS: readonly VectorKernel[] = [...CLASSES.flatMap(overClasses), ...LAYER_NORM];
