/**
 * Which path a product takes and how much scratch it needs, chosen once from the whole M, N, K (never from a share of them,
 * so that bits do not depend on how work is split). The kernel's side is `assembly/matmul/index.ts`.
 */

import type { Grain } from './split.js';

/** A product's path number (an argument of the kernel) and the bytes of scratch it needs. */
export interface Plan {
  readonly path: number;
  readonly scratchBytes: number;
}

const DOT = 0 << 4;
const COPIED = 1 << 4;
const IN_PLACE = 2 << 4;
const STREAM = 3 << 4;
/** Sizes in `assembly/matmul/packed.ts`: a block of A, two panels of B, a corner. */
const DEPTH = 512;
const RANK = 64;
const ROWS = 300;
const PACKED_BYTES = 4 * ((ROWS + 16) * (DEPTH + RANK) + 6 * 8);

/** Rows of the widest tile that V8 keeps in registers, by level (bench/variants). */
const TILE_ROWS = [5, 6] as const;

function packed(level: number, kind: number): Plan {
  return { path: kind | TILE_ROWS[level]!, scratchBytes: PACKED_BYTES };
}

function unpacked(path: number): Plan {
  return { path, scratchBytes: 0 };
}

/** A row length at which neighbouring rows fall on the same lines of the cache: a multiple of 4 KiB. */
function collides(rowLength: number): boolean {
  return rowLength % 1024 === 0;
}

/**
 * y = x·Wᵀ + h·Bᵀ. level: 0 simd, 1 relaxed-simd. The dot tiles read both operands as they lie and are the faster ones for few
 * rows; packing repays itself from so many rows on, and sooner where a dot is short, very long, or W's rows collide.
 */
export function planForward(level: number, M: number, N: number, K: number, _R: number): Plan {
  if (level === 0) return M < 24 ? unpacked(DOT | 4) : packed(level, COPIED);
  const awkward = K <= 256 || K >= 8192 || collides(K);
  const rows = K <= 32 ? 4 : awkward ? 24 : 96;
  return M < rows || N < 24 ? unpacked(DOT | 6) : packed(level, COPIED);
}

/**
 * dx = dy·W + u·A. Streaming W's rows wins for very few rows of dy, and for more of them where W's rows collide; up to some
 * dozens W is read in place, beyond them copied.
 */
export function planBackwardInput(level: number, M: number, _N: number, K: number, _R: number): Plan {
  if (level === 0) return M <= 2 ? unpacked(STREAM) : packed(level, M < 16 ? IN_PLACE : COPIED);
  if (M <= 3 || (collides(K) && M < 24)) return unpacked(STREAM);
  return packed(level, M <= 72 && !collides(K) ? IN_PLACE : COPIED);
}

/** dW = dyᵀ·x. Few rows of x are few steps of depth: a tile would end as soon as it began. */
export function planBackwardWeight(level: number, M: number, _N: number, _K: number): Plan {
  return M <= (level === 0 ? 4 : 12) ? unpacked(STREAM) : packed(level, COPIED);
}

/** What a cut of the output keeps together: whole tiles of the path, and whole cache lines of columns. */
export function grainOf(path: number): Grain {
  const width = path & 15;
  if (path === STREAM) return { rows: 2, columns: 16 };
  return (path & ~15) === DOT ? { rows: 2, columns: width === 6 ? 48 : 16 } : { rows: width, columns: 16 };
}
