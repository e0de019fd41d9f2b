/** Sums over all elements, over rows and over columns; the largest of a row; copies of rows and of a whole matrix. */
import { largest, squares } from '../../../reference/rows.js';
import {
  affineColumns,
  affineRows,
  dotColumns,
  dotRows,
  gatherRows,
  sumRows,
  transposeTo,
} from '../../../src/engine/matrices.js';
import { matrix, weight } from '../../../src/engine/operands.js';
import { sumOf, type VectorKernel } from './kernel.js';

/** Columns of a layer's output. */
const WIDTH = 768;

const set = (pointer: number) => ({ pointer, accumulate: 0 }) as const;

const OVER_ALL: readonly VectorKernel[] = [
  [['sum', 1, 1, null], (k, [x], N) => k.sum(N, x), ([x], _, N) => sumOf(0, N, 1, x), { squared: 0 }],
  [['squared norm', 1, 2, null], (k, [x], N) => k.squaredNorm(N, x), ([x], _, N) => squares(x, 0, N)],
  [
    ['squaredDistance', 2, 3, null],
    (k, [a, b], N) => k.squaredDistance(N, a, b),
    ([a, b], _, N) => squares((at) => a(at) - b(at), 0, N),
  ],
  [['allFinite', 1, 2, null], (k, [x], N) => k.allFinite(N, x), () => 1],
];

const OVER_ROWS: readonly VectorKernel[] = [
  [
    ['dotRows', 2, 10, 3],
    (k, [a, b, w, y], N, M) => dotRows(k, matrix(a, M, N), matrix(b, M, N), w, set(y)),
    ([a, b, w], m, N) => w(m) * sumOf(m * N, N, 1, (at) => a(at) * b(at)),
    { columns: WIDTH, operands: 'MN MN M M' },
  ],
  [
    ['rowNorms', 1, 7, 1],
    (k, [x, y], N, M) => k.rowNorms(M, N, x, N, y),
    ([x], m, N) => Math.sqrt(squares(x, m * N, N)),
    { columns: WIDTH, operands: 'MN M' },
  ],
  ...[10, 1000, 32000].map(
    (columns): VectorKernel => [
      ['argmaxRows', 1, 5, 1],
      (k, [x, y], N, M) => k.argmaxRows(M, N, x, N, y),
      ([x], m, N) => largest(x, m * N, N),
      { columns, operands: 'MN M', outNumbers: true },
    ],
  ),
];

const OVER_COLUMNS: readonly VectorKernel[] = [
  [
    ['sumRows', 1, 1, 1],
    (k, [x, y], N, M) => sumRows(k, matrix(x, M, N), set(y)),
    ([x], n, N, M) => sumOf(n, M, N, x),
    { columns: WIDTH, operands: 'MN N' },
  ],
  [
    ['dotColumns', 2, 2, 3],
    (k, [a, b, w, y], N, M) => dotColumns(k, matrix(a, M, N), matrix(b, M, N), w, set(y)),
    ([a, b, w], n, N, M) => w(n) * sumOf(n, M, N, (at) => a(at) * b(at)),
    { columns: WIDTH, operands: 'MN MN N N' },
  ],
  [
    ['columnSquares', 1, 7, 2],
    // The f64 sums lie in two f32; their roots are the result, so that they can be compared.
    (k, [x, sums, y], N, M) => {
      k.fill(2 * N, 0, sums);
      k.columnSquares(M, N, x, N, sums);
      k.rootOfSums(N, sums, y);
    },
    ([x], n, N, M) => Math.sqrt(squares(x, n, M, N)),
    { columns: WIDTH, operands: 'MN 2N N' },
  ],
];

const affine = (
  operation: string,
  kernel: typeof affineColumns,
  place: (i: number, N: number) => number,
): VectorKernel => [
  [operation, 2, 2, 3],
  (k, [x, scale, shift, y], N, M) => kernel(k, { x: matrix(x, M, N), scale, shift, y: matrix(y, M, N) }),
  ([x, s, t], i, N) => s(place(i, N)) * x(i) + t(place(i, N)),
  { columns: WIDTH, operands: 'MN W W MN' },
];

const COPIES: readonly VectorKernel[] = [
  [
    ['gatherRows', 2, 0, 2],
    (k, [ids, table, y], N, M) => gatherRows(k, ids, weight(table, M, N), matrix(y, M, N)),
    ([ids, table], i, N) => table(ids(Math.floor(i / N)) * N + (i % N)),
    {
      columns: WIDTH,
      operands: 'M MN MN',
      numbers: { operand: 0, below: (M) => M },
    },
  ],
  [
    ['transposeScaled', 2, 3, 1],
    (k, [x, y], N, M) => transposeTo(k, 0.5, matrix(x, M, N), matrix(y, N, M)),
    ([x], i, N, M) => 0.5 * x((i % M) * N + Math.floor(i / M)),
    { columns: WIDTH },
  ],
  affine('affineColumns', affineColumns, (i, N) => i % N),
  affine('affineRows', affineRows, (i, N) => Math.floor(i / N)),
];

export const REDUCTIONS = [...OVER_ALL, ...OVER_ROWS, ...OVER_COLUMNS, ...COPIES];
