// Transposed copies of small factors, four by four elements at a time, the rest in pairs and single rows or columns.
import { matrix } from '../checks';
import { fourByFour, twoByFour } from '../simd';

/** Columns of x at a time: as many lines of y stay in the first-level cache until they are full. */
const COLUMNS: i32 = 64;

/** y[n,m] = s·x[m,n] for x [M,N]; ld in elements. */
export function transposeScaled(M: i32, N: i32, s: f32, x: usize, ldx: i32, y: usize, ldy: i32): void {
  if (!ASC_NO_ASSERT) {
    matrix('transposeScaled: x', x, M, N, ldx);
    matrix('transposeScaled: y', y, N, M, ldy);
  }
  const xStep = (<usize>ldx) << 2;
  const yStep = (<usize>ldy) << 2;
  for (let n = 0; n < N; n += COLUMNS) {
    columns(M, min(COLUMNS, N - n), s, x + ((<usize>n) << 2), xStep, y + <usize>n * yStep, yStep);
  }
}

function columns(M: i32, N: i32, s: f32, x: usize, xStep: usize, y: usize, yStep: usize): void {
  const scale = f32x4.splat(s);
  const rows = M & ~3;
  const whole = N & ~3;
  fourRows(rows, whole, scale, x, xStep, y, yStep);
  let n = whole;
  if (N & 2) {
    twoColumns(rows, scale, x + ((<usize>n) << 2), xStep, y + <usize>n * yStep, yStep);
    n += 2;
  }
  if (N & 1) oneColumn(rows, scale, x + ((<usize>n) << 2), xStep, y + <usize>n * yStep);
  x += <usize>rows * xStep;
  y += (<usize>rows) << 2;
  if (M & 2) {
    twoRows(N, scale, x, xStep, y, yStep);
    x += 2 * xStep;
    y += 8;
  }
  if (M & 1) for (let i = 0; i < N; i++, x += 4, y += yStep) store<f32>(y, s * load<f32>(x));
}

/** Rows and columns in fours. */
function fourRows(M: i32, N: i32, s: v128, x: usize, xStep: usize, y: usize, yStep: usize): void {
  for (let m = 0; m < M; m += 4, x += 4 * xStep, y += 16) {
    let from = x;
    let to = y;
    for (let n = 0; n < N; n += 4, from += 16, to += 4 * yStep) {
      const a = f32x4.mul(s, v128.load(from));
      const b = f32x4.mul(s, v128.load(from + xStep));
      const c = f32x4.mul(s, v128.load(from + 2 * xStep));
      const d = f32x4.mul(s, v128.load(from + 3 * xStep));
      fourByFour(a, b, c, d, 0, to, yStep);
    }
  }
}

/** Two columns of x, rows in fours. */
function twoColumns(M: i32, s: v128, x: usize, xStep: usize, y: usize, yStep: usize): void {
  for (let m = 0; m < M; m += 4, x += 4 * xStep, y += 16) {
    const ab = f32x4.mul(s, v128.load64_lane(x + xStep, v128.load64_zero(x), 1));
    const cd = f32x4.mul(s, v128.load64_lane(x + 3 * xStep, v128.load64_zero(x + 2 * xStep), 1));
    v128.store(y, v128.shuffle<f32>(ab, cd, 0, 2, 4, 6));
    v128.store(y + yStep, v128.shuffle<f32>(ab, cd, 1, 3, 5, 7));
  }
}

/** One column of x, rows in fours. */
function oneColumn(M: i32, s: v128, x: usize, xStep: usize, y: usize): void {
  for (let m = 0; m < M; m += 4, x += 4 * xStep, y += 16) {
    const ab = v128.load32_lane(x + xStep, v128.load32_zero(x), 1);
    v128.store(y, f32x4.mul(s, v128.load32_lane(x + 3 * xStep, v128.load32_lane(x + 2 * xStep, ab, 2), 3)));
  }
}

/** Two rows of x, columns of y. */
function twoRows(N: i32, s: v128, x: usize, xStep: usize, y: usize, yStep: usize): void {
  let n = 0;
  for (; n + 4 <= N; n += 4, x += 16, y += 4 * yStep) twoByFour(f32x4.mul(s, v128.load(x)), f32x4.mul(s, v128.load(x + xStep)), y, yStep);
  for (; n < N; n++, x += 4, y += yStep) {
    const pair = v128.load32_lane(x + xStep, v128.load32_zero(x), 1);
    v128.store64_lane(y, f32x4.mul(s, pair), 0);
  }
}
