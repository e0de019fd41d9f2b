// The packed product C[M,N] (+)= A[M,D]·B[D,N] + H[M,R]·G[R,N], in the five-loop order: blocks of depth, blocks of rows,
// panels of eight columns, row tiles, steps of depth. A block of A is packed once for all panels; two panels of B are packed
// for all row tiles of the block, unless B is used as it lies. The low-rank pair H, G is R more steps of the last block, while
// the sums are still in registers; only where it does not fit (R > RANK) or B is read in place is it a pass of its own.
// B may be a weight of any type: its panels are expanded as they are packed, with the bits of the product over the expanded weight.
// Quantised columns come in runs of 32, which share their scales: there four panels are packed at once.
// Scratch: one block of A, two or four panels of B, one tile for the edges, and a strip where B is expanded.
import { expandRun, isBlocks } from '../blocks';
import { F32 } from '../weights';
import { DEPTH, NEXT_PANEL, packColumnPair, packColumns, packRows, packRowsTransposed, packTransposed, packWeightColumns, packWeightTransposed, RANK, STRIP_BYTES } from './pack';
import { tile } from './tiles';

/** Rows in a block, at most: a block of A (ROWS·DEPTH·4 bytes) stays in the second-level cache. A multiple of every MR. */
const ROWS: i32 = 300;

/** Bytes of a tile for the edges. */
const CORNER_BYTES: usize = 6 * 8 * 4;

/** Bytes from a panel to the next of four: no two begin on the same lines of the first-level cache. */
const NEXT_OF_FOUR: i32 = NEXT_PANEL + 1088;

/** Bytes of scratch for a product whose B has this type. */
export function packedScratch(bType: i32): usize {
  const panels = isBlocks(bType) ? 4 * NEXT_OF_FOUR : 2 * NEXT_PANEL;
  return 4 * <usize>(ROWS * (DEPTH + RANK)) + panels + CORNER_BYTES + (bType === F32 ? 0 : STRIP_BYTES);
}

/** How B lies: as its transpose [N, D], or as [D, N], copied or read in place. G lies as B does. */
export const B_TRANSPOSED: i32 = 0;
export const B_COPIED: i32 = 1;
export const B_IN_PLACE: i32 = 2;

/**
 * A lies as [M, D] or, with aTransposed, as [D, M]; H is [M, R]. Strides in bytes, between rows as they lie. MR is the most
 * rows of a tile, 4 or 6. B's elements have bType; where it lies as [D, N] its columns begin at bFrom. With D and R both 0, C is
 * cleared unless it accumulates.
 */
export function packedProduct(MR: i32, aTransposed: i32, bKind: i32, M: i32, N: i32, D: i32, R: i32, a: usize, aStep: usize, bType: i32, b: usize, bStep: usize, bFrom: i32, h: usize, hStep: usize, g: usize, gStep: usize, accumulate: i32, c: usize, ldc: usize, scratch: usize): void {
  if (R > RANK || (R > 0 && bKind === B_IN_PLACE)) {
    packedProduct(MR, aTransposed, bKind, M, N, D, 0, a, aStep, bType, b, bStep, bFrom, 0, 0, 0, 0, accumulate, c, ldc, scratch);
    packedProduct(MR, 0, bKind, M, N, R, 0, h, hStep, F32, g, gStep, 0, 0, 0, 0, 0, 1, c, ldc, scratch);
    return;
  }
  // A weight that is not f32 cannot be read in place: its panels are expanded, and the rank was a pass of its own all the same.
  if (bKind === B_IN_PLACE && bType !== F32) bKind = B_COPIED;
  const height = piece(M, ROWS, MR);
  // Whole blocks of 32, the grain of quantised rows: a weight of any type is cut where f32 is.
  const deep = piece(D, DEPTH, D & 31 ? 4 : 32);
  const panels = scratch + ((<usize>(ROWS * (DEPTH + RANK))) << 2);
  const inRuns = bKind !== B_TRANSPOSED && isBlocks(bType);
  const nextPanel: usize = inRuns ? NEXT_OF_FOUR : NEXT_PANEL;
  const corner = panels + (inRuns ? 4 * NEXT_OF_FOUR : 2 * NEXT_PANEL);
  let d = 0;
  do {
    const depth = min(deep, D - d);
    const rank = d + depth === D ? R : 0;
    const add = d > 0 ? 1 : accumulate;
    const bRow = bKind === B_TRANSPOSED ? b : b + <usize>d * bStep;
    const bColumn = bKind === B_TRANSPOSED ? d : bFrom;
    for (let m = 0; m < M; m += height) {
      const rows = min(height, M - m);
      const aAt = a + (aTransposed ? ((<usize>m) << 2) + <usize>d * aStep : <usize>m * aStep + ((<usize>d) << 2));
      packBlock(MR, aTransposed, rows, depth, rank, aAt, aStep, h + <usize>m * hStep, hStep, scratch);
      const cAt = c + <usize>m * ldc;
      for (let n = 0; n < N; ) {
        const columns = min(inRuns ? 32 - ((bColumn + n) & 31) : 16, N - n);
        const at = (<usize>n) << 2;
        n += columns;
        if (bKind === B_IN_PLACE && columns === 16) {
          const bAt = bRow + ((<usize>bColumn) << 2) + at;
          rowTiles(MR, rows, 8, depth, scratch, bAt, bStep, add, cAt + at, ldc, corner);
          rowTiles(MR, rows, 8, depth, scratch, bAt + 32, bStep, add, cAt + at + 32, ldc, corner);
          continue;
        }
        packPanels(bKind, columns, depth, rank, bType, bRow, bStep, bColumn, g, gStep, n - columns, panels, nextPanel, corner);
        for (let j = 0, panel = panels; j < columns; j += 8, panel += nextPanel) {
          rowTiles(MR, rows, min(8, columns - j), depth + rank, scratch, panel, 32, add, cAt + at + ((<usize>j) << 2), ldc, corner);
        }
      }
    }
    d += deep;
  } while (d < D);
}

/** Size of nearly equal pieces of at most `most`, in whole grains: a short last piece would not repay its panels. */
// @ts-ignore: decorator
@inline
function piece(size: i32, most: i32, grain: i32): i32 {
  const pieces = max((size + most - 1) / most, 1);
  return max(((size + pieces * grain - 1) / (pieces * grain)) * grain, grain);
}

/** Rows of the next tile: MR as long as two tiles remain, then what cuts the rest into nearly equal ones. Never more than is left. */
// @ts-ignore: decorator
@inline
function tileRows(MR: i32, left: i32): i32 {
  if (left >= 2 * MR || left === MR) return MR;
  return left > MR ? (left + 1) >> 1 : left;
}

/** A's block: panels of tileRows each, the rank's steps behind those of the depth. */
function packBlock(MR: i32, aTransposed: i32, rows: i32, depth: i32, rank: i32, a: usize, aStep: usize, h: usize, hStep: usize, out: usize): void {
  for (let i = 0; i < rows; ) {
    const count = tileRows(MR, rows - i);
    const to = out + ((<usize>(i * (depth + rank))) << 2);
    if (aTransposed) packRowsTransposed(count, depth, a + ((<usize>i) << 2), aStep, to);
    else packRows(count, depth, a + <usize>i * aStep, aStep, to);
    packRows(count, rank, h + <usize>i * hStep, hStep, to + ((<usize>(count * depth)) << 2));
    i += count;
  }
}

/**
 * Panels of eight of B's columns from column n on, `nextPanel` bytes apart, G's steps behind B's; `from` is B's element at the block's start: of its
 * depth where it lies turned, else its first column. The strip lies behind the corner.
 */
function packPanels(bKind: i32, columns: i32, depth: i32, rank: i32, bType: i32, b: usize, bStep: usize, from: i32, g: usize, gStep: usize, n: i32, panels: usize, nextPanel: usize, corner: usize): void {
  const tail = (<usize>depth) << 5;
  const at = (<usize>n) << 2;
  if (bKind !== B_TRANSPOSED && columns === 16 && bType === F32) {
    packColumnPair(depth, b + ((<usize>from) << 2) + at, bStep, panels, panels + nextPanel);
    packColumnPair(rank, g + at, gStep, panels + tail, panels + nextPanel + tail);
    return;
  }
  // Only quantised columns come in as many.
  const run = columns === 32;
  if (run) expandRun(bType, depth, b, bStep, from + n, panels, 32, nextPanel);
  for (let j = 0; j < columns; j += 8, panels += nextPanel) {
    const real = min(8, columns - j);
    if (bKind === B_TRANSPOSED) {
      packWeightTransposed(bType, real, depth, b + <usize>(n + j) * bStep, bStep, from, panels, corner + CORNER_BYTES);
      packTransposed(real, rank, g + <usize>(n + j) * gStep, gStep, panels + tail);
    } else {
      if (!run) packWeightColumns(bType, real, depth, b, bStep, from + n + j, panels);
      packColumns(real, rank, g + at + ((<usize>j) << 2), gStep, panels + tail);
    }
  }
}

/** All tiles of one panel of B. A narrow panel's tiles are computed whole in a corner of the scratch, their real part copied. */
function rowTiles(MR: i32, rows: i32, columns: i32, steps: i32, a: usize, b: usize, bStep: usize, add: i32, c: usize, ldc: usize, corner: usize): void {
  for (let i = 0; i < rows; ) {
    const count = tileRows(MR, rows - i);
    const at = c + <usize>i * ldc;
    const from = a + ((<usize>(i * steps)) << 2);
    if (columns === 8) {
      tile(count, steps, from, b, bStep, add, at, ldc);
    } else {
      tile(count, steps, from, b, bStep, 0, corner, 32);
      copyCorner(count, columns, corner, add, at, ldc);
    }
    i += count;
  }
}

function copyCorner(rows: i32, columns: i32, corner: usize, accumulate: i32, c: usize, ldc: usize): void {
  for (let i = 0; i < rows; i++, c += ldc, corner += 32) {
    for (let j: usize = 0; j < <usize>columns; j++) {
      const at = c + (j << 2);
      const v = load<f32>(corner + (j << 2));
      store<f32>(at, accumulate ? load<f32>(at) + v : v);
    }
  }
}
