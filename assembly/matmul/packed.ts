// The packed product C[M,N] (+)= A[M,D]·B[D,N], in the five-loop order: blocks of depth, blocks of rows, panels of eight
// columns, row tiles, steps of depth. A block of A is packed once for all panels; a panel of B is packed for all row tiles
// of the block, unless B is used as it lies. Scratch: one block of A, one panel of B, one tile for the edges.
import { packColumns, packRows, packTransposed } from './pack';
import { tile } from './tiles';

/** Steps of depth in a block: a panel of B (8·DEPTH·4 bytes) stays in the first-level cache. Fixed: it decides the bits. */
const DEPTH: i32 = 512;
/** Rows in a block, at most: a block of A (ROWS·DEPTH·4 bytes) stays in the second-level cache. A multiple of every MR. */
const ROWS: i32 = 300;

/** How B lies: as its transpose [N, D], or as [D, N], copied or read in place. */
export const B_TRANSPOSED: i32 = 0;
export const B_COPIED: i32 = 1;
export const B_IN_PLACE: i32 = 2;

/** Strides in bytes: of A `aRow` along M and `aDeep` along D; of B between its rows; of C between its rows. */
export function packedProduct(MR: i32, bKind: i32, M: i32, N: i32, D: i32, a: usize, aRow: usize, aDeep: usize, b: usize, bStep: usize, accumulate: i32, c: usize, ldc: usize, scratch: usize): void {
  // Blocks of nearly equal height: a short last one would not repay its panels.
  const blocks = (M + ROWS - 1) / ROWS;
  const height = blocks > 0 ? ((M + blocks * MR - 1) / (blocks * MR)) * MR : MR;
  const panel = scratch + ((<usize>((ROWS + MR) * DEPTH)) << 2);
  const corner = panel + ((<usize>(8 * DEPTH)) << 2);
  for (let d = 0; d < D; d += DEPTH) {
    const depth = min(DEPTH, D - d);
    const add = d > 0 ? 1 : accumulate;
    const bAt = b + (bKind === B_TRANSPOSED ? (<usize>d) << 2 : <usize>d * bStep);
    for (let m = 0; m < M; m += height) {
      const rows = min(height, M - m);
      const aAt = a + <usize>m * aRow + <usize>d * aDeep;
      for (let i = 0; i < rows; i += MR) packRows(MR, rows - i, depth, aAt + <usize>i * aRow, aRow, aDeep, scratch + ((<usize>(i * depth)) << 2));
      for (let n = 0; n < N; n += 8) {
        const columns = min(8, N - n);
        let from = panel;
        let step: usize = 32;
        if (bKind === B_TRANSPOSED) packTransposed(columns, depth, bAt + <usize>n * bStep, bStep, panel);
        else if (bKind === B_COPIED || columns < 8) packColumns(columns, depth, bAt + ((<usize>n) << 2), bStep, panel);
        else {
          from = bAt + ((<usize>n) << 2);
          step = bStep;
        }
        for (let i = 0; i < rows; i += MR) {
          const at = c + <usize>(m + i) * ldc + ((<usize>n) << 2);
          const aPanel = scratch + ((<usize>(i * depth)) << 2);
          if (columns === 8 && i + MR <= rows) tile(MR, depth, aPanel, from, step, add, at, ldc);
          else edge(MR, min(MR, rows - i), columns, depth, aPanel, from, step, add, at, ldc, corner);
        }
      }
    }
  }
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
