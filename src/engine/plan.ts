/**
 * Which path a product takes, chosen once from the whole M, N, K (never from a share of them, so that bits do not depend on
 * how work is split). A path is a number, an argument of the kernel: `assembly/matmul/index.ts` is its side, and says with
 * `productScratch` how much scratch a path needs.
 */
import { DTYPE_INFO, DTYPES, isQuantised } from '../values/dtypes.js';
import type { Grain } from './split.js';

const DOT = 0 << 4;
const COPIED = 1 << 4;
const IN_PLACE = 2 << 4;
const STREAM = 3 << 4;
const DIRECT = 4 << 4;

const F32 = DTYPE_INFO.f32.code;
/** Quantised types. One row of x meets their blocks as they lie: nothing is expanded, and fewer bytes come from memory than of float32. */
const BLOCK_CODES: ReadonlySet<number> = new Set(
  DTYPES.filter(isQuantised).map((dtype) => DTYPE_INFO[dtype].code),
);

/** Rows of the widest tile that V8 keeps in registers, by level (bench/variants). */
const TILE_ROWS = [5, 6] as const;

function packed(level: number, kind: number): number {
  return kind | TILE_ROWS[level]!;
}

/** A row length at which neighbouring rows fall on the same lines of the cache: a multiple of 4 KiB. */
function collides(rowLength: number): boolean {
  return rowLength % 1024 === 0;
}

/**
 * y = x·Wᵀ + h·Bᵀ. level: 0 simd, 1 relaxed-simd. The dot tiles read both operands as they lie and are the faster ones for few
 * rows; packing repays itself from so many rows on, and sooner where a dot is short, very long, or W's rows collide.
 * @param code - ggml's number of W's type
 */
export function planForward(
  level: number,
  M: number,
  N: number,
  K: number,
  _R: number,
  code: number = F32,
): number {
  if (M === 1 && BLOCK_CODES.has(code)) return DIRECT;
  if (level === 0) return M < 24 ? DOT | 4 : packed(level, COPIED);
  const awkward = K <= 256 || K >= 8192 || collides(K);
  const rows = K <= 32 ? 4 : awkward ? 24 : 96;
  return M < rows || N < 24 ? DOT | 6 : packed(level, COPIED);
}

/**
 * dx = dy·W + u·A. Streaming W's rows wins for very few rows of dy, and for more of them where W's rows collide; up to some
 * dozens W is read in place, beyond them copied.
 */
export function planBackwardInput(level: number, M: number, _N: number, K: number, _R: number): number {
  if (level === 0) return M <= 2 ? STREAM : packed(level, M < 16 ? IN_PLACE : COPIED);
  if (M <= 3 || (collides(K) && M < 24)) return STREAM;
  return packed(level, M <= 72 && !collides(K) ? IN_PLACE : COPIED);
}

/** dW = dyᵀ·x. Few rows of x are few steps of depth: a tile would end as soon as it began. */
export function planBackwardWeight(level: number, M: number, _N: number, _K: number): number {
  return M <= (level === 0 ? 4 : 12) ? STREAM : packed(level, COPIED);
}

/**
 * What a cut of the output keeps together: whole tiles of the path, whole cache lines of columns, and of a quantised weight's columns
 * whole runs that share their scales.
 * @param code - ggml's number of the type of the weight whose columns are cut
 */
export function grainOf(path: number, code: number = F32): Grain {
  const width = path & 15;
  if (path === DIRECT) return { rows: 1, columns: 16 };
  if ((path & ~15) === DOT) return { rows: 2, columns: width === 6 ? 48 : 16 };
  return { rows: path === STREAM ? 2 : width, columns: BLOCK_CODES.has(code) ? 32 : 16 };
}
