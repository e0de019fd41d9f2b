/** The kernels of a language model over whole matrices, laid out as bare numbers. Called by `ops`; attention is in `attention.ts`. */
import type { Kernels } from './abi.js';
import type { GradientMatrix, GradientVector, Normalised } from './matrices.js';
import type { Matrix } from './operands.js';

/** y = x·rstd ⊙ gamma of every row, and stats[M]: rstd = 1/√(mean of x² + eps). */
export function rmsNormalise(
  k: Kernels,
  eps: number,
  { x, gamma, y, stats }: { x: Matrix; gamma: number; y: Matrix; stats: number },
): void {
  const { rows: M, columns: N, pointer, stride } = x;
  k.rmsNormForward(M, N, eps, pointer, stride, gamma, y.pointer, y.stride, stats);
}

/** dgamma (+)= Σ_m dy ⊙ x·rstd. */
export function rmsNormGamma(k: Kernels, { x, stats, dy }: Normalised, to: GradientVector): void {
  const { rows: M, columns: N, pointer, stride } = x;
  const { accumulate, pointer: out } = to;
  k.rmsNormBackwardGamma(M, N, pointer, stride, stats, dy.pointer, dy.stride, accumulate, out);
}

/** dx of a normalisation by root mean square. */
export function rmsNormGradient(
  k: Kernels,
  { x, gamma, stats, dy }: Normalised & { gamma: number },
  dx: GradientMatrix,
): void {
  const { rows: M, columns: N, pointer, stride } = x;
  const { accumulate, pointer: to, stride: ldd } = dx;
  k.rmsNormBackward(M, N, pointer, stride, gamma, stats, dy.pointer, dy.stride, accumulate, to, ldd);
}

/** Cosines and sines [length, half] in memory. */
export interface Angles {
  readonly cos: number;
  readonly sin: number;
  readonly length: number;
  readonly half: number;
}

/** Where the rows of x stand: row m at positions[m mod period], or m mod period where positions is 0. */
export interface Places {
  readonly positions: number;
  readonly period: number;
}

/** y (+)= every head of x turned by its position, or turned back. */
export function turn(
  k: Kernels,
  x: Matrix,
  { cos, sin, length, half }: Angles,
  { positions, period }: Places,
  inverse: 0 | 1,
  y: GradientMatrix,
): void {
  const { rows: M, columns, pointer, stride } = x;
  const heads = columns / (2 * half);
  const to = [y.accumulate, y.pointer, y.stride] as const;
  k.rotate(M, heads, half, pointer, stride, positions, period, length, cos, sin, inverse, ...to);
}
