// Products of rows with rows, straight from both matrices as they lie: y[m,n] = Σ x[m,k]·w[n,k] + Σ h[m,r]·b[n,r].
// No packing, no scratch. Cuts the output into the tiles of dot-tiles.ts, dot-narrow.ts and dot-column.ts.
import { dot1x1, dot2x1, dot6x1, dot8x1 } from './dot-column';
import { dot1x2, dot1x3, dot2x2, dot3x3, dot4x2 } from './dot-narrow';
import { dot1x4, dot1x6, dot2x4, dot2x6 } from './dot-tiles';

/**
 * y[M,N] = x[M,K]·w[N,K]ᵀ + h[M,R]·b[N,R]ᵀ; NR is the widest tile used: 6 where multiply-adds are fused, 4 where not, since
 * larger tiles spill there (bench/variants). Strides in elements.
 */
export function dotProduct(NR: i32, M: i32, N: i32, K: i32, R: i32, x: usize, ldx: i32, w: usize, ldw: i32, h: usize, ldh: i32, b: usize, ldb: i32, y: usize, ldy: i32): void {
  const sx = (<usize>ldx) << 2;
  const sw = (<usize>ldw) << 2;
  const sh = (<usize>ldh) << 2;
  const sb = (<usize>ldb) << 2;
  const sy = (<usize>ldy) << 2;
  let n = 0;
  if (spreads(M, N, K)) {
    // The tile's rows of w lie as far apart as they can: each is then one long stream from tile to tile, which the processor
    // fetches ahead. Columns of a tile side by side would start new streams at every tile.
    const part = <usize>(N / NR);
    for (; n < <i32>part; n++) {
      rowTiles(NR, NR, M, K, R, x, sx, w + <usize>n * sw, part * sw, h, sh, b + <usize>n * sb, part * sb, y + ((<usize>n) << 2), sy, part << 2);
    }
    n *= NR;
  }
  // Columns outside, rows inside: a few rows of w stay in the first-level cache while all of x passes.
  while (n < N) {
    const columns = columnsOf(NR, N - n);
    rowTiles(NR, columns, M, K, R, x, sx, w + <usize>n * sw, sw, h, sh, b + <usize>n * sb, sb, y + ((<usize>n) << 2), sy, 4);
    n += columns;
  }
}

/** Whether w is passed so few times that fetching it is what counts. */
// @ts-ignore: decorator
@inline
function spreads(M: i32, N: i32, K: i32): bool {
  return M <= 3 || (M <= 32 && <i64>N * K >= 1 << 20);
}

/** All rows of some columns of y; strides in bytes, cy between the columns. */
function rowTiles(NR: i32, columns: i32, M: i32, K: i32, R: i32, x: usize, sx: usize, w: usize, sw: usize, h: usize, sh: usize, b: usize, sb: usize, y: usize, sy: usize, cy: usize): void {
  for (let m = 0; m < M; ) {
    const rows = rowsOf(NR, columns, M - m);
    if (columns === 6) {
      if (rows === 2) dot2x6(K, R, x, sx, w, sw, h, sh, b, sb, y, sy, cy);
      else dot1x6(K, R, x, sx, w, sw, h, sh, b, sb, y, sy, cy);
    } else if (columns === 4) {
      if (rows === 2) dot2x4(K, R, x, sx, w, sw, h, sh, b, sb, y, sy, cy);
      else dot1x4(K, R, x, sx, w, sw, h, sh, b, sb, y, sy, cy);
    } else if (columns === 3) {
      if (rows === 3) dot3x3(K, R, x, sx, w, sw, h, sh, b, sb, y, sy, cy);
      else dot1x3(K, R, x, sx, w, sw, h, sh, b, sb, y, sy, cy);
    } else if (columns === 2) {
      if (rows === 4) dot4x2(K, R, x, sx, w, sw, h, sh, b, sb, y, sy, cy);
      else if (rows === 2) dot2x2(K, R, x, sx, w, sw, h, sh, b, sb, y, sy, cy);
      else dot1x2(K, R, x, sx, w, sw, h, sh, b, sb, y, sy, cy);
    } else {
      if (rows === 8) dot8x1(K, R, x, sx, w, sw, h, sh, b, sb, y, sy, cy);
      else if (rows === 6) dot6x1(K, R, x, sx, w, sw, h, sh, b, sb, y, sy, cy);
      else if (rows === 2) dot2x1(K, R, x, sx, w, sw, h, sh, b, sb, y, sy, cy);
      else dot1x1(K, R, x, sx, w, sw, h, sh, b, sb, y, sy, cy);
    }
    m += rows;
    x += <usize>rows * sx;
    h += <usize>rows * sh;
    y += <usize>rows * sy;
  }
}

/** Columns of the next tile. */
// @ts-ignore: decorator
@inline
function columnsOf(NR: i32, left: i32): i32 {
  if (left >= NR) return NR;
  if (left >= 4) return 4;
  return NR === 4 ? min(left, 2) : left;
}

/** Rows of the next tile: the narrower, the higher, so that enough sums run at once to hide the latency of a multiply-add. */
// @ts-ignore: decorator
@inline
function rowsOf(NR: i32, columns: i32, left: i32): i32 {
  if (columns >= 4) return min(left, 2);
  if (columns === 1) {
    const most = NR === 6 ? 8 : 6;
    return left >= most ? most : min(left, 2);
  }
  if (columns === 3) return left >= 3 ? 3 : 1;
  return left >= 4 ? 4 : min(left, 2);
}
