// Per-output arithmetic of LoRA layers: scales and shifts of columns or rows, transposed copies of the small factors, and the sums
// of output-sums.ts. Matrices row-major, ld in elements.
import { add, mul } from '../nn/elementwise';

export { columnSquares, dotColumns, dotRows, rootOfSums, rowNorms } from './output-sums';

/** y[m,n] = scale[n]·x[m,n] + shift[n]; scale or shift may be 0 (absent); y may be x. */
export function affineColumns(M: i32, N: i32, x: usize, ldx: i32, scale: usize, shift: usize, y: usize, ldy: i32): void {
  for (let m = 0; m < M; m++, x += (<usize>ldx) << 2, y += (<usize>ldy) << 2) {
    if (scale && shift) affineRow(N, x, scale, shift, y);
    else if (scale) mul(N, x, scale, y);
    else if (shift) add(N, x, shift, y);
    else if (x !== y) memory.copy(y, x, (<usize>N) << 2);
  }
}

function affineRow(N: i32, x: usize, scale: usize, shift: usize, y: usize): void {
  const end = (<usize>N) << 2;
  let n: usize = 0;
  for (; n + 16 <= end; n += 16) {
    v128.store(y + n, f32x4.add(f32x4.mul(v128.load(scale + n), v128.load(x + n)), v128.load(shift + n)));
  }
  for (; n < end; n += 4) store<f32>(y + n, load<f32>(scale + n) * load<f32>(x + n) + load<f32>(shift + n));
}

/** y[m,n] = scale[m]·x[m,n] + shift[m]; scale or shift may be 0 (absent); y may be x. */
export function affineRows(M: i32, N: i32, x: usize, ldx: i32, scale: usize, shift: usize, y: usize, ldy: i32): void {
  const end = (<usize>N) << 2;
  for (let m: usize = 0; m < <usize>M; m++, x += (<usize>ldx) << 2, y += (<usize>ldy) << 2) {
    const s: f32 = scale ? load<f32>(scale + (m << 2)) : 1;
    const t: f32 = shift ? load<f32>(shift + (m << 2)) : 0;
    const s4 = f32x4.splat(s);
    const t4 = f32x4.splat(t);
    let n: usize = 0;
    for (; n + 16 <= end; n += 16) v128.store(y + n, f32x4.add(f32x4.mul(s4, v128.load(x + n)), t4));
    for (; n < end; n += 4) store<f32>(y + n, s * load<f32>(x + n) + t);
  }
}

/** y = a / b, element by element; where b is 0 the result is 0. */
export function quotient(n: i32, a: usize, b: usize, y: usize): void {
  const end = y + ((<usize>n) << 2);
  const zero = f32x4.splat(0);
  for (; y + 16 <= end; y += 16, a += 16, b += 16) {
    const d = v128.load(b);
    v128.store(y, v128.andnot(f32x4.div(v128.load(a), d), f32x4.eq(d, zero)));
  }
  for (; y < end; y += 4, a += 4, b += 4) {
    const d = load<f32>(b);
    store<f32>(y, d === 0 ? 0 : load<f32>(a) / d);
  }
}

/** y[N,M] = s·x[M,N]ᵀ, sixteen rows of x at a time: y is written in whole lines of the cache. */
export function transposeScaled(M: i32, N: i32, s: f32, x: usize, ldx: i32, y: usize, ldy: i32): void {
  const line = (<usize>ldx) << 2;
  const toLine = (<usize>ldy) << 2;
  const factor = f32x4.splat(s);
  for (let start = 0; start < M; start += 16) {
    const stop = min<i32>(M, start + 16);
    let n = 0;
    for (; n + 4 <= N; n += 4) {
      let from = x + (<usize>start * line) + ((<usize>n) << 2);
      let to = y + (<usize>n * toLine) + ((<usize>start) << 2);
      let m = start;
      for (; m + 4 <= stop; m += 4, from += line << 2, to += 16) transposeTile(from, line, factor, to, toLine);
      for (; m < stop; m++, from += line, to += 4) {
        for (let i: usize = 0; i < 4; i++) store<f32>(to + i * toLine, s * load<f32>(from + (i << 2)));
      }
    }
    for (; n < N; n++) {
      let from = x + (<usize>start * line) + ((<usize>n) << 2);
      let to = y + (<usize>n * toLine) + ((<usize>start) << 2);
      for (let m = start; m < stop; m++, from += line, to += 4) store<f32>(to, s * load<f32>(from));
    }
  }
}

// @ts-ignore: decorator
@inline
function transposeTile(from: usize, line: usize, factor: v128, to: usize, toLine: usize): void {
  const a = f32x4.mul(factor, v128.load(from));
  const b = f32x4.mul(factor, v128.load(from + line));
  const c = f32x4.mul(factor, v128.load(from + 2 * line));
  const d = f32x4.mul(factor, v128.load(from + 3 * line));
  const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
  const cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
  const ab2 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
  const cd2 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<i64>(ab, cd, 0, 2));
  v128.store(to + toLine, v128.shuffle<i64>(ab, cd, 1, 3));
  v128.store(to + 2 * toLine, v128.shuffle<i64>(ab2, cd2, 0, 2));
  v128.store(to + 3 * toLine, v128.shuffle<i64>(ab2, cd2, 1, 3));
}
