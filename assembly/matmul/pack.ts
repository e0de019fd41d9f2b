// Packing: blocks of a matrix copied into contiguous scratch in the order in which the tiles read them. What lies outside is 0.

/** A panel of MR rows: out[k][i] = a[(m + i), k], `rows` of them real; strides in bytes. Rows step by `row`, depth by `deep`. */
export function packRows(MR: i32, rows: i32, depth: i32, a: usize, row: usize, deep: usize, out: usize): void {
  const step = (<usize>MR) << 2;
  for (let i = 0; i < MR; i++) {
    let to = out + ((<usize>i) << 2);
    if (i < rows) {
      let from = a + <usize>i * row;
      for (let k = 0; k < depth; k++, from += deep, to += step) store<f32>(to, load<f32>(from));
    } else {
      for (let k = 0; k < depth; k++, to += step) store<f32>(to, 0);
    }
  }
}

/** A panel of eight columns of B[depth, N], rows as they lie: out[k][j] = b[k, n + j]; `columns` of them real; bStep in bytes. */
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

/** The same from the transpose: out[k][j] = w[n + j, k]; w's rows step by wStep bytes. Four by four elements at a time. */
export function packTransposed(columns: i32, depth: i32, w: usize, wStep: usize, out: usize): void {
  let k = 0;
  if (columns === 8) {
    for (; k + 4 <= depth; k += 4, w += 16, out += 128) {
      fourByFour(w, wStep, out);
      fourByFour(w + 4 * wStep, wStep, out + 16);
    }
  }
  for (; k < depth; k++, w += 4, out += 32) {
    for (let j: usize = 0; j < 8; j++) store<f32>(out + (j << 2), <i32>j < columns ? load<f32>(w + j * wStep) : 0);
  }
}

// @ts-ignore: decorator
@inline
function fourByFour(w: usize, wStep: usize, out: usize): void {
  const a = v128.load(w);
  const b = v128.load(w + wStep);
  const c = v128.load(w + 2 * wStep);
  const d = v128.load(w + 3 * wStep);
  const ab0 = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
  const ab1 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
  const cd0 = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
  const cd1 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  v128.store(out, v128.shuffle<f32>(ab0, cd0, 0, 1, 4, 5));
  v128.store(out, v128.shuffle<f32>(ab0, cd0, 2, 3, 6, 7), 32);
  v128.store(out, v128.shuffle<f32>(ab1, cd1, 0, 1, 4, 5), 64);
  v128.store(out, v128.shuffle<f32>(ab1, cd1, 2, 3, 6, 7), 96);
}
