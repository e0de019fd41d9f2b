// Per-output arithmetic of LoRA layers: scales and shifts of columns or rows, quotients, and the sums of output-sums.ts. Matrices row-major, ld in elements.
import { matrix, optional, vectors } from '../checks';
import { add, mul } from '../nn/elementwise';

export { columnSquares, dotColumns, dotRows, rootOfSums, rowNorms } from './output-sums';

/** y[m,n] = scale[n]·x[m,n] + shift[n]; scale or shift may be 0 (absent); y may be x. */
export function affineColumns(M: i32, N: i32, x: usize, ldx: i32, scale: usize, shift: usize, y: usize, ldy: i32): void {
  if (!ASC_NO_ASSERT) {
    matrix('affineColumns: x', x, M, N, ldx);
    optional('affineColumns: scale', scale, N);
    optional('affineColumns: shift', shift, N);
    matrix('affineColumns: y', y, M, N, ldy);
  }
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
  if (!ASC_NO_ASSERT) {
    matrix('affineRows: x', x, M, N, ldx);
    optional('affineRows: scale', scale, M);
    optional('affineRows: shift', shift, M);
    matrix('affineRows: y', y, M, N, ldy);
  }
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
  if (!ASC_NO_ASSERT) vectors('quotient: n; a, b, y', n, a, b, y);
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
