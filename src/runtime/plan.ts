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
/** Sizes of a block in `assembly/matmul/packed.ts`. */
const DEPTH = 512;
const RANK = 64;
const ROWS = 300;

function packed(kind: number, MR: number): Plan {
  return { path: kind | MR, scratchBytes: 4 * ((ROWS + MR + 8) * (DEPTH + RANK) + 8 * 8) };
}

/** Speed of a tile beside that of six rows, relaxed SIMD, as bench/variants measured it. */
const TILE_SPEED: readonly (readonly [rows: number, speed: number])[] = [
  [6, 1],
  [5, 0.94],
  [4, 0.93],
];

/** The tile that is fastest once the rows that it wastes are counted. The plain build spills with more than four rows: half the speed (bench/variants). */
function tileRows(level: number, rows: number): number {
  if (rows <= 2) return Math.max(rows, 1);
  if (level === 0) return 4;
  let best = 6;
  let bestSpeed = 0;
  for (const [MR, speed] of TILE_SPEED) {
    const useful = (speed * rows) / (Math.ceil(rows / MR) * MR);
    if (useful > bestSpeed) [best, bestSpeed] = [MR, useful];
  }
  return best;
}

/** A row length at which neighbouring rows fall on the same cache lines. */
function conflicts(rowLength: number): boolean {
  return rowLength % 256 === 0;
}

/** y = x·Wᵀ + h·Bᵀ. level: 0 simd, 1 relaxed-simd. */
export function planForward(level: number, M: number, _N: number, _K: number, _R: number): Plan {
  // Relaxed: unpacked is as fast as packed at any M. Plain: faster for few rows, level with packed from a few dozen
  // rows on (bench/variants).
  if (level === 1) return { path: DOT | 6, scratchBytes: 0 };
  return M < 24 ? { path: DOT | 4, scratchBytes: 0 } : packed(COPIED, tileRows(level, M));
}

/** dx = dy·W + u·A. */
export function planBackwardInput(level: number, M: number, _N: number, K: number, _R: number): Plan {
  return packed(M < 24 && !conflicts(K) ? IN_PLACE : COPIED, tileRows(level, M));
}

/** dW = dyᵀ·x. */
export function planBackwardWeight(level: number, _M: number, N: number, _K: number): Plan {
  return packed(COPIED, tileRows(level, N));
}

/** What a cut of the output keeps together: whole tiles of the path, and whole cache lines of columns. */
export function grainOf(path: number): Grain {
  const width = path & 15;
  return path >> 4 === DOT ? { rows: 2, columns: width === 6 ? 48 : 16 } : { rows: width, columns: 16 };
}
