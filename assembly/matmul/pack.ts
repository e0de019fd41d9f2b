// Packing: blocks of a matrix copied into contiguous scratch in the order in which the tiles read them. Columns outside are 0.
import { fourByFour, twoByFour } from '../simd';
import { expand, F32 } from '../weights';

/** Steps of depth in a block: a panel of B (8·DEPTH·4 bytes) stays in the first-level cache. Fixed: it decides the bits. */
export const DEPTH: i32 = 512;
/** Steps that the low-rank pair may add to the last block. */
export const RANK: i32 = 64;
/** Bytes from a panel of B to the second one. */
export const NEXT_PANEL: i32 = 8 * (DEPTH + RANK) * 4;
/** Bytes between the eight expanded rows of a strip: not a power of two, at which they would collide in the cache. */
const STRIP_STEP: usize = 4 * (<usize>DEPTH + 16);
/** Bytes of the strip in which rows of a weight are expanded before they are turned. */
export const STRIP_BYTES: usize = 8 * STRIP_STEP;

/** A panel of `rows` rows, 1 to 6, from a row-major matrix: out[k][i] = a[i, k]; a's rows step by aStep bytes. Four rows at a time, then two, then one. */
export function packRows(rows: i32, depth: i32, a: usize, aStep: usize, out: usize): void {
  const step = (<usize>rows) << 2;
  const whole = depth & ~3;
  for (let left = rows; left > 0; ) {
    const count = left >= 4 ? 4 : left >= 2 ? 2 : 1;
    let from = a;
    let to = out;
    if (count === 4) for (let k = 0; k < whole; k += 4, from += 16, to += 4 * step) turnFour(from, aStep, to, step);
    else if (count === 2) for (let k = 0; k < whole; k += 4, from += 16, to += 4 * step) twoByFour(v128.load(from), v128.load(from + aStep), to, step);
    else packRow(whole, from, to, step);
    for (let j = 0; j < count; j++) packRow(depth - whole, a + <usize>j * aStep + ((<usize>whole) << 2), out + <usize>whole * step + ((<usize>j) << 2), step);
    left -= count;
    a += <usize>count * aStep;
    out += (<usize>count) << 2;
  }
}

function packRow(depth: i32, a: usize, out: usize, step: usize): void {
  for (let k = 0; k < depth; k++, a += 4, out += step) store<f32>(out, load<f32>(a));
}

/** The same from the transpose: out[k][i] = a[k, i]; a's rows, one a step of depth, step by aStep bytes. */
export function packRowsTransposed(rows: i32, depth: i32, a: usize, aStep: usize, out: usize): void {
  for (let k = 0; k < depth; k++, a += aStep) {
    let i = rows;
    let from = a;
    if (i >= 4) {
      v128.store(out, v128.load(from));
      i -= 4;
      from += 16;
      out += 16;
    }
    if (i >= 2) {
      store<u64>(out, load<u64>(from));
      i -= 2;
      from += 8;
      out += 8;
    }
    for (; i > 0; i--, from += 4, out += 4) store<f32>(out, load<f32>(from));
  }
}

/** A panel of eight columns of B[depth, N], rows as they lie: out[k][j] = b[k, j]; `columns` of them real; bStep in bytes. */
export function packColumns(columns: i32, depth: i32, b: usize, bStep: usize, out: usize): void {
  if (columns === 8) {
    for (let k = 0; k < depth; k++, b += bStep, out += 32) {
      v128.store(out, v128.load(b));
      v128.store(out, v128.load(b, 16), 16);
    }
    return;
  }
  for (let k = 0; k < depth; k++, b += bStep, out += 32) {
    for (let j: usize = 0; j < 8; j++) store<f32>(out + (j << 2), <i32>j < columns ? load<f32>(b + (j << 2)) : 0);
  }
}

/** Two panels of eight columns at once, `out` and `next`: whole cache lines are read, which matters where rows collide in the cache. */
export function packColumnPair(depth: i32, b: usize, bStep: usize, out: usize, next: usize): void {
  for (let k = 0; k < depth; k++, b += bStep, out += 32, next += 32) {
    v128.store(out, v128.load(b));
    v128.store(out, v128.load(b, 16), 16);
    v128.store(next, v128.load(b, 32));
    v128.store(next, v128.load(b, 48), 16);
  }
}

/** A panel of eight columns from the transpose: out[k][j] = w[j, k]; w's rows step by wStep bytes. Four by four elements at a time. */
export function packTransposed(columns: i32, depth: i32, w: usize, wStep: usize, out: usize): void {
  let k = 0;
  if (columns === 8) {
    for (; k + 4 <= depth; k += 4, w += 16, out += 128) {
      turnFour(w, wStep, out, 32);
      turnFour(w + 4 * wStep, wStep, out + 16, 32);
    }
  }
  for (; k < depth; k++, w += 4, out += 32) {
    for (let j: usize = 0; j < 8; j++) store<f32>(out + (j << 2), <i32>j < columns ? load<f32>(w + j * wStep) : 0);
  }
}

/** out[k][j] = w[j, k] for four j and k; rows of w step by wStep bytes, those of out by outStep. */
// @ts-ignore: decorator
@inline
function turnFour(w: usize, wStep: usize, out: usize, outStep: usize): void {
  fourByFour(v128.load(w), v128.load(w + wStep), v128.load(w + 2 * wStep), v128.load(w + 3 * wStep), 0, out, outStep);
}

/** `packTransposed` of a weight of any type, from element `from` of its rows on; `strip` is scratch of STRIP_BYTES. */
export function packWeightTransposed(type: i32, columns: i32, depth: i32, w: usize, wStep: usize, from: i32, out: usize, strip: usize): void {
  if (type === F32) {
    packTransposed(columns, depth, w + ((<usize>from) << 2), wStep, out);
    return;
  }
  expand(type, columns, depth, w, wStep, from, strip, STRIP_STEP);
  packTransposed(columns, depth, strip, STRIP_STEP, out);
}

/** `packColumns` of a weight of any type, from column `from` on. */
export function packWeightColumns(type: i32, columns: i32, depth: i32, w: usize, wStep: usize, from: i32, out: usize): void {
  if (type === F32) {
    packColumns(columns, depth, w + ((<usize>from) << 2), wStep, out);
    return;
  }
  if (columns < 8) memory.fill(out, 0, (<usize>depth) << 5);
  expand(type, depth, columns, w, wStep, from, out, 32);
}
