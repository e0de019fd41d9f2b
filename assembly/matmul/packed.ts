// The packed product C[M,N] (+)= A[M,D]·B[D,N] + H[M,R]·G[R,N], in the five-loop order: blocks of depth, blocks of rows,
// panels of eight columns, row tiles, steps of depth. A block of A is packed once for all panels; a panel of B is packed for
// all row tiles of the block, unless B is used as it lies. The low-rank pair H, G is R more steps of the last block, while
// the sums are still in registers; only where it does not fit (R > RANK) or B is read in place is it a pass of its own.
// Scratch: one block of A, one panel of B, one tile for the edges.
import { packColumns, packRows, packTransposed } from './pack';
import { tile } from './tiles';

/** Steps of depth in a block: a panel of B (8·DEPTH·4 bytes) stays in the first-level cache. Fixed: it decides the bits. */
const DEPTH: i32 = 512;
/** Steps that the low-rank pair may add to the last block. */
const RANK: i32 = 64;
/** Rows in a block, at most: a block of A (ROWS·DEPTH·4 bytes) stays in the second-level cache. A multiple of every MR. */
const ROWS: i32 = 300;

/** How B lies: as its transpose [N, D], or as [D, N], copied or read in place. G lies as B does. */
export const B_TRANSPOSED: i32 = 0;
export const B_COPIED: i32 = 1;
export const B_IN_PLACE: i32 = 2;

/**
 * Strides in bytes: of A `aRow` along M and `aDeep` along D; of B between its rows; of H and G between theirs; of C
 * between its rows. With D and R both 0, C is cleared unless it accumulates.
 */
export function packedProduct(MR: i32, bKind: i32, M: i32, N: i32, D: i32, R: i32, a: usize, aRow: usize, aDeep: usize, b: usize, bStep: usize, h: usize, hStep: usize, g: usize, gStep: usize, accumulate: i32, c: usize, ldc: usize, scratch: usize): void {
  if (R > RANK || (R > 0 && bKind === B_IN_PLACE)) {
    packedProduct(MR, bKind, M, N, D, 0, a, aRow, aDeep, b, bStep, 0, 0, 0, 0, accumulate, c, ldc, scratch);
    packedProduct(MR, bKind, M, N, R, 0, h, hStep, 4, g, gStep, 0, 0, 0, 0, 1, c, ldc, scratch);
    return;
  }
  // Blocks of nearly equal height: a short last one would not repay its panels.
  const blocks = (M + ROWS - 1) / ROWS;
  const height = blocks > 0 ? ((M + blocks * MR - 1) / (blocks * MR)) * MR : MR;
  const panel = scratch + ((<usize>((ROWS + MR) * (DEPTH + RANK))) << 2);
  const corner = panel + ((<usize>(8 * (DEPTH + RANK))) << 2);
  let d = 0;
  do {
    const depth = min(DEPTH, D - d);
    const rank = d + depth === D ? R : 0;
    const steps = depth + rank;
    const add = d > 0 ? 1 : accumulate;
    const bAt = b + (bKind === B_TRANSPOSED ? (<usize>d) << 2 : <usize>d * bStep);
    for (let m = 0; m < M; m += height) {
      const rows = min(height, M - m);
      const aAt = a + <usize>m * aRow + <usize>d * aDeep;
      for (let i = 0; i < rows; i += MR) {
        const to = scratch + ((<usize>(i * steps)) << 2);
        packRows(MR, rows - i, depth, aAt + <usize>i * aRow, aRow, aDeep, to);
        packRows(MR, rows - i, rank, h + <usize>(m + i) * hStep, hStep, 4, to + ((<usize>(MR * depth)) << 2));
      }
      for (let n = 0; n < N; n += 8) {
        const columns = min(8, N - n);
        const tail = panel + ((<usize>depth) << 5);
        let from = panel;
        let step: usize = 32;
        if (bKind === B_TRANSPOSED) {
          packTransposed(columns, depth, bAt + <usize>n * bStep, bStep, panel);
          packTransposed(columns, rank, g + <usize>n * gStep, gStep, tail);
        } else if (bKind === B_COPIED || columns < 8) {
          packColumns(columns, depth, bAt + ((<usize>n) << 2), bStep, panel);
          packColumns(columns, rank, g + ((<usize>n) << 2), gStep, tail);
        } else {
          from = bAt + ((<usize>n) << 2);
          step = bStep;
        }
        for (let i = 0; i < rows; i += MR) {
          const at = c + <usize>(m + i) * ldc + ((<usize>n) << 2);
          const aPanel = scratch + ((<usize>(i * steps)) << 2);
          if (columns === 8 && i + MR <= rows) tile(MR, steps, aPanel, from, step, add, at, ldc);
          else edge(MR, min(MR, rows - i), columns, steps, aPanel, from, step, add, at, ldc, corner);
        }
      }
    }
    d += DEPTH;
  } while (d < D);
}

/** A tile that reaches over the edge of C: computed whole beside it, its real part copied. */
function edge(MR: i32, rows: i32, columns: i32, depth: i32, a: usize, b: usize, bStep: usize, accumulate: i32, c: usize, ldc: usize, corner: usize): void {
  tile(MR, depth, a, b, bStep, 0, corner, 32);
  for (let i = 0; i < rows; i++, c += ldc, corner += 32) {
    for (let j: usize = 0; j < <usize>columns; j++) {
      const at = c + (j << 2);
      const v = load<f32>(corner + (j << 2));
      store<f32>(at, accumulate ? load<f32>(at) + v : v);
    }
  }
}
