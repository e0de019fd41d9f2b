/** Sums over all elements, over rows and over columns; the largest of a row. */
import { numbersOf, one, overRow, type VectorKernel } from './kernel.js';

/** Columns of a layer's output. */
const WIDTH = 768;

function total(
  operation: string,
  moves: number,
  flops: number,
  run: VectorKernel['run'],
  term: (arrays: readonly Float32Array[], at: number) => readonly [number, number],
): VectorKernel {
  const value: VectorKernel['value'] = (before, _, M, N) => overRow(0, M * N, (at) => term(before, at));
  return { operation, moves, flops, run, value, out: null };
}

const argmax = (N: number): VectorKernel => ({
  operation: 'argmaxRows',
  columns: N,
  moves: 1,
  flops: 5,
  operands: (M) => [M * N, M],
  run: (k, [x, y], M) => k.argmaxRows(M, N, x!, N, y!),
  value: ([x], m) => {
    const row = x!.subarray(m * N, (m + 1) * N);
    return one(row.indexOf(row.reduce((a, b) => Math.max(a, b))));
  },
  out: 1,
  outNumbers: true,
});

const OVER_ALL: readonly VectorKernel[] = [
  total(
    'sum',
    1,
    1,
    (k, [x], _, N) => k.sum(N, x!),
    ([x], i) => [1, x![i]!],
  ),
  total(
    'squared norm',
    1,
    2,
    (k, [x], _, N) => k.squaredNorm(N, x!),
    ([x], i) => [x![i]!, x![i]!],
  ),
  total(
    'squaredDistance',
    2,
    3,
    (k, [a, b], _, N) => k.squaredDistance(N, a!, b!),
    ([a, b], i) => [a![i]! - b![i]!, a![i]! - b![i]!],
  ),
  {
    operation: 'allFinite',
    moves: 1,
    flops: 2,
    run: (k, [x], _, N) => k.allFinite(N, x!),
    value: () => one(1),
    out: null,
  },
];

const OVER_ROWS: readonly VectorKernel[] = [
  {
    operation: 'dotRows',
    columns: WIDTH,
    moves: 2,
    flops: 10,
    operands: (M, N) => [M * N, M * N, M, M],
    run: (k, [a, b, w, y], M, N) => k.dotRows(M, N, a!, N, b!, N, w!, 0, y!),
    value: ([a, b, w], m, _, N) => overRow(m * N, N, (at) => [w![m]! * a![at]!, b![at]!]),
    out: 3,
  },
  {
    operation: 'rowNorms',
    columns: WIDTH,
    moves: 1,
    flops: 7,
    operands: (M, N) => [M * N, M],
    run: (k, [x, y], M, N) => k.rowNorms(M, N, x!, N, y!),
    value: ([x], m, _, N) => one(Math.hypot(...x!.subarray(m * N, (m + 1) * N))),
    out: 1,
  },
  ...[10, 1000, 32000].map(argmax),
];

function overColumn(M: number, N: number, n: number, term: (at: number) => readonly [number, number]) {
  return (add: (a: number, b: number) => void): void => {
    for (let m = 0; m < M; m++) add(...term(m * N + n));
  };
}

const OVER_COLUMNS: readonly VectorKernel[] = [
  {
    operation: 'sumRows',
    columns: WIDTH,
    moves: 1,
    flops: 1,
    operands: (M, N) => [M * N, N],
    run: (k, [x, y], M, N) => k.sumRows(M, N, x!, N, 0, y!),
    value: ([x], n, M, N) => overColumn(M, N, n, (at) => [1, x![at]!]),
    out: 1,
  },
  {
    operation: 'dotColumns',
    columns: WIDTH,
    moves: 2,
    flops: 2,
    operands: (M, N) => [M * N, M * N, N, N],
    run: (k, [a, b, w, y], M, N) => k.dotColumns(M, N, a!, N, b!, N, w!, 0, y!),
    value: ([a, b, w], n, M, N) => overColumn(M, N, n, (at) => [w![n]! * a![at]!, b![at]!]),
    out: 3,
  },
  {
    operation: 'columnSquares',
    columns: WIDTH,
    moves: 1,
    flops: 7,
    // The f64 sums lie in two f32; their roots are the result, so that they can be compared.
    operands: (M, N) => [M * N, 2 * N, N],
    run: (k, [x, sums, y], M, N) => {
      k.fill(2 * N, 0, sums!);
      k.columnSquares(M, N, x!, N, sums!);
      k.rootOfSums(N, sums!, y!);
    },
    value: ([x], n, M, N) => {
      let squares = 0;
      for (let m = 0; m < M; m++) squares += x![m * N + n]! ** 2;
      return one(Math.sqrt(squares));
    },
    out: 2,
  },
];

/** Copies of rows and of a whole matrix, and scales of its columns and rows. */
const COPIES: readonly VectorKernel[] = [
  {
    operation: 'gatherRows',
    columns: WIDTH,
    moves: 2,
    flops: 0,
    operands: (M, N) => [M, M * N, M * N],
    numbers: { operand: 0, below: (M) => M },
    run: (k, [ids, table, y], M, N) => k.gatherRows(M, N, ids!, 0, table!, 4 * N, y!, N),
    value: ([ids, table], i, _, N) => one(table![numbersOf(ids!)[Math.floor(i / N)]! * N + (i % N)]!),
    out: 2,
  },
  {
    operation: 'transposeScaled',
    columns: WIDTH,
    moves: 2,
    flops: 3,
    run: (k, [x, y], M, N) => k.transposeScaled(M, N, 0.5, x!, N, y!, M),
    value: ([x], i, M, N) => one(0.5 * x![(i % M) * N + Math.floor(i / M)]!),
    out: 1,
  },
  ...(['affineColumns', 'affineRows'] as const).map(
    (kernel): VectorKernel => ({
      operation: kernel,
      columns: WIDTH,
      moves: 2,
      flops: 2,
      operands: (M, N) => [M * N, Math.max(M, N), Math.max(M, N), M * N],
      run: (k, [x, s, t, y], M, N) => k[kernel](M, N, x!, N, s!, t!, y!, N),
      value:
        ([x, s, t], i, _, N) =>
        (add) => {
          const at = kernel === 'affineColumns' ? i % N : Math.floor(i / N);
          add(s![at]!, x![i]!);
          add(1, t![at]!);
        },
      out: 3,
    }),
  ),
];

export const REDUCTIONS = [...OVER_ALL, ...OVER_ROWS, ...OVER_COLUMNS, ...COPIES];
