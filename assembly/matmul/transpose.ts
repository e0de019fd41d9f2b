// Transposed copies of small factors, four by four elements at a time, the rest in pairs and single rows or columns.
import { fourByFour } from '../simd';

/** Columns of x at a time: as many lines of y stay in the first-level cache until they are full. */
const COLUMNS: i32 = 64;

/** y[n,m] = s·x[m,n] for x [M,N]; ld in elements. */
export function transposeScaled(M: i32, N: i32, s: f32, x: usize, ldx: i32, y: usize, ldy: i32): void {
  const xStep = (<usize>ldx) << 2;
  const yStep = (<usize>ldy) << 2;
  for (let n = 0; n < N; n += COLUMNS) {
    columns(M, min(COLUMNS, N - n), s, x + ((<usize>n) << 2), xStep, y + <usize>n * yStep, yStep);
  }
}

function columns(M: i32, N: i32, s: f32, x: usize, xStep: usize, y: usize, yStep: usize): void {
  const scale = f32x4.splat(s);
  for (let m = 0; m + 4 <= M; m += 4, x += 4 * xStep, y += 16) fourRows(N, scale, x, xStep, y, yStep);
  if (M & 2) {
    twoRows(N, scale, x, xStep, y, yStep);
    x += 2 * xStep;
    y += 8;
  }
  if (M & 1) for (let n = 0; n < N; n++, x += 4, y += yStep) store<f32>(y, s * load<f32>(x));
}

/** Four rows of x, columns of y. */
function fourRows(N: i32, s: v128, x: usize, xStep: usize, y: usize, yStep: usize): void {
  let x1 = x + xStep;
  let x2 = x + 2 * xStep;
  let x3 = x + 3 * xStep;
  for (let n = 0; n + 4 <= N; n += 4, x += 16, x1 += 16, x2 += 16, x3 += 16, y += 4 * yStep) {
    const a = f32x4.mul(s, v128.load(x));
    const b = f32x4.mul(s, v128.load(x1));
    const c = f32x4.mul(s, v128.load(x2));
    const d = f32x4.mul(s, v128.load(x3));
    fourByFour(a, b, c, d, 0, y, yStep);
  }
  if (N & 2) {
    const ab = f32x4.mul(s, v128.load64_lane(x1, v128.load64_zero(x), 1));
    const cd = f32x4.mul(s, v128.load64_lane(x3, v128.load64_zero(x2), 1));
    v128.store(y, v128.shuffle<f32>(ab, cd, 0, 2, 4, 6));
    v128.store(y + yStep, v128.shuffle<f32>(ab, cd, 1, 3, 5, 7));
    y += 2 * yStep;
  }
  if (N & 1) {
    const at = (<usize>(N & 2)) << 2;
    const ab = v128.load32_lane(x1 + at, v128.load32_zero(x + at), 1);
    v128.store(y, f32x4.mul(s, v128.load32_lane(x3 + at, v128.load32_lane(x2 + at, ab, 2), 3)));
  }
}

/** Two rows of x, columns of y. */
function twoRows(N: i32, s: v128, x: usize, xStep: usize, y: usize, yStep: usize): void {
  let n = 0;
  for (; n + 4 <= N; n += 4, x += 16, y += 4 * yStep) {
    const a = f32x4.mul(s, v128.load(x));
    const b = f32x4.mul(s, v128.load(x + xStep));
    const low = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
    const high = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
    v128.store64_lane(y, low, 0);
    v128.store64_lane(y + yStep, low, 1);
    v128.store64_lane(y + 2 * yStep, high, 0);
    v128.store64_lane(y + 3 * yStep, high, 1);
  }
  for (; n < N; n++, x += 4, y += yStep) {
    const pair = v128.load32_lane(x + xStep, v128.load32_zero(x), 1);
    v128.store64_lane(y, f32x4.mul(s, pair), 0);
  }
}
