/** Softmax, cross-entropy and layer norm over rows: each reads a row from memory once, and then again from a cache. */
import { EXP } from './activations.js';
import { numbersOf, one, overRow, type VectorKernel } from './kernel.js';

const CLASSES = [10, 1000, 32000];
const WIDTH = 768;

/** log Σ e^x of a row. */
function logSumExp(x: Float32Array, from: number, N: number): number {
  let sum = 0;
  for (let at = from; at < from + N; at++) sum += Math.exp(x[at]!);
  return Math.log(sum);
}

const rowStart = (i: number, N: number): number => Math.floor(i / N) * N;

const softmax = (columns: number): VectorKernel => ({
  operation: 'softmax',
  columns,
  moves: 2,
  flops: EXP + 6,
  run: (k, [x, y], M, N) => k.softmaxForward(M, N, x!, N, y!, N),
  value: ([x], i, _, N) => one(Math.exp(x![i]! - logSumExp(x!, rowStart(i, N), N))),
  out: 1,
});

const softmaxBackward = (columns: number): VectorKernel => ({
  operation: 'softmax backward',
  columns,
  moves: 3,
  flops: 6,
  run: (k, [y, dy, dx], M, N) => k.softmaxBackward(M, N, y!, N, dy!, N, 0, dx!, N),
  value:
    ([y, dy], i, _, N) =>
    (add) => {
      add(y![i]!, dy![i]!);
      overRow(rowStart(i, N), N, (at) => [-y![i]! * y![at]!, dy![at]!])(add);
    },
  out: 2,
});

const crossEntropy = (columns: number): VectorKernel => ({
  operation: 'cross-entropy',
  columns,
  moves: 1,
  flops: EXP + 5,
  operands: (M, N) => [M * N, M, M],
  numbers: { operand: 1, below: (_, N) => N },
  run: (k, [x, labels, y], M, N) => k.crossEntropyForward(M, N, x!, N, labels!, -100, y!),
  value:
    ([x, labels], m, _, N) =>
    (add) => {
      add(1, logSumExp(x!, m * N, N));
      add(-1, x![m * N + numbersOf(labels!)[m]!]!);
    },
  out: 2,
});

const crossEntropyBackward = (columns: number): VectorKernel => ({
  operation: 'cross-entropy backward',
  columns,
  moves: 2,
  flops: EXP + 7,
  operands: (M, N) => [M * N, M, M, M * N],
  numbers: { operand: 1, below: (_, N) => N },
  run: (k, [x, labels, dy, dx], M, N) =>
    k.crossEntropyBackward(M, N, x!, N, labels!, -100, 0.5, dy!, 1, 0, dx!, N),
  value:
    ([x, labels, dy], i, _, N) =>
    (add) => {
      const m = Math.floor(i / N);
      add(0.5 * dy![m]!, Math.exp(x![i]! - logSumExp(x!, m * N, N)));
      if (numbersOf(labels!)[m] === i % N) add(-0.5, dy![m]!);
    },
  out: 3,
});

const EPS = 1e-5;

function momentsOf(x: Float32Array, from: number, N: number): { mean: number; rstd: number } {
  const row = x.subarray(from, from + N);
  const mean = row.reduce((sum, v) => sum + v, 0) / N;
  return { mean, rstd: 1 / Math.sqrt(row.reduce((sum, v) => sum + (v - mean) ** 2, 0) / N + EPS) };
}

/** Mean and rstd of a row are two numbers like any others to the backward kernels: they are drawn, not computed. */
const LAYER_NORM: readonly VectorKernel[] = [
  {
    operation: 'layerNorm',
    columns: WIDTH,
    moves: 2,
    flops: 8,
    operands: (M, N) => [M * N, N, N, 2 * M, M * N],
    run: (k, [x, gamma, beta, stats, y], M, N) =>
      k.layerNormForward(M, N, EPS, x!, N, gamma!, beta!, y!, N, stats!),
    value: ([x, gamma, beta], i, _, N) => {
      const { mean, rstd } = momentsOf(x!, rowStart(i, N), N);
      return (add) => {
        add(gamma![i % N]! * rstd, x![i]!);
        add(-gamma![i % N]! * rstd, mean);
        add(1, beta![i % N]!);
      };
    },
    out: 4,
  },
  {
    operation: 'layerNorm backward',
    columns: WIDTH,
    moves: 3,
    flops: 12,
    operands: (M, N) => [M * N, N, 2 * M, M * N, M * N],
    run: (k, [x, gamma, stats, dy, dx], M, N) =>
      k.layerNormBackward(M, N, x!, N, gamma!, stats!, dy!, N, 0, dx!, N),
    value: ([x, gamma, stats, dy], i, _, N) => {
      const from = rowStart(i, N);
      const [mean, rstd] = stats!.subarray((2 * from) / N);
      const hat = (at: number): number => (x![at]! - mean!) * rstd!;
      const g = (at: number): number => dy![at]! * gamma![at % N]!;
      return (add) => {
        add(rstd!, g(i));
        overRow(from, N, (at) => [-rstd! / N, g(at)])(add);
        overRow(from, N, (at) => [(-rstd! * hat(i)) / N, g(at) * hat(at)])(add);
      };
    },
    out: 4,
  },
  {
    operation: 'layerNorm dgamma',
    columns: WIDTH,
    moves: 2,
    flops: 4,
    operands: (M, N) => [M * N, 2 * M, M * N, N],
    run: (k, [x, stats, dy, dgamma], M, N) =>
      k.layerNormBackwardGamma(M, N, x!, N, stats!, dy!, N, 0, dgamma!),
    value:
      ([x, stats, dy], n, M, N) =>
      (add) => {
        for (let m = 0; m < M; m++) {
          const at = m * N + n;
          add(dy![at]! * stats![2 * m + 1]!, x![at]!);
          add(-dy![at]! * stats![2 * m + 1]!, stats![2 * m]!);
        }
      },
    out: 3,
  },
];

export const ROWS: readonly VectorKernel[] = [
  ...CLASSES.flatMap((N) => [softmax(N), softmaxBackward(N), crossEntropy(N), crossEntropyBackward(N)]),
  ...LAYER_NORM,
];
