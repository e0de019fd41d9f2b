/**
 * The kernels of a language model over whole matrices, laid out as bare numbers and cut into shares: between rows, or for sums over rows
 * between columns, so that bits do not depend on the cut. Called by `ops`; attention is in `attention.ts`.
 */
import type { GradientMatrix, GradientVector, Normalised } from './matrices.js';
import { columnAt, type Matrix, rowAt, spanOf, vectorFrom } from './operands.js';
import { LINE, runRange, type Sharer } from './sharing.js';

/** Floating-point operations that the products do in the time of an element: what sharing it saves. */
const COST = { norm: 24, normGradient: 40, gamma: 20, turn: 16, activation: 90 } as const;

/** y = x·rstd ⊙ gamma of every row, and stats[M]: rstd = 1/√(mean of x² + eps). */
export function rmsNormalise(
  { sharing }: Sharer,
  eps: number,
  { x, gamma, y, stats }: { x: Matrix; gamma: number; y: Matrix; stats: number },
): void {
  const { rows: M, columns: N, stride: ldx } = x;
  runRange(sharing, {
    kernel: 'rmsNormForward',
    flops: COST.norm * M * N,
    bytes: 0,
    size: M,
    grain: 1,
    part: (from, count) => {
      const [px, py] = [rowAt(x, from), rowAt(y, from)];
      return [count, N, eps, px, ldx, gamma, py, y.stride, vectorFrom(stats, from)];
    },
    outputs: () => [spanOf(y), { pointer: stats, bytes: 4 * M }],
  });
}

/** dgamma (+)= Σ_m dy ⊙ x·rstd. */
export function rmsNormGamma({ sharing }: Sharer, { x, stats, dy }: Normalised, to: GradientVector): void {
  const { rows: M, columns: N, stride: ldx } = x;
  runRange(sharing, {
    kernel: 'rmsNormBackwardGamma',
    flops: COST.gamma * M * N,
    bytes: 0,
    size: N,
    grain: LINE,
    part: (from, count) => {
      const [px, pg] = [columnAt(x, from), columnAt(dy, from)];
      return [M, count, px, ldx, stats, pg, dy.stride, to.accumulate, vectorFrom(to.pointer, from)];
    },
    outputs: () => [{ pointer: to.pointer, bytes: 4 * N }],
  });
}

/** dx of a normalisation by root mean square. */
export function rmsNormGradient(
  { sharing }: Sharer,
  { x, gamma, stats, dy }: Normalised & { gamma: number },
  dx: GradientMatrix,
): void {
  const { rows: M, columns: N, stride: ldx } = x;
  runRange(sharing, {
    kernel: 'rmsNormBackward',
    flops: COST.normGradient * M * N,
    bytes: 0,
    size: M,
    grain: 1,
    part: (from, count) => {
      const [px, pg, to] = [rowAt(x, from), rowAt(dy, from), rowAt(dx, from)];
      const at = vectorFrom(stats, from);
      return [count, N, px, ldx, gamma, at, pg, dy.stride, dx.accumulate, to, dx.stride];
    },
    outputs: () => [spanOf(dx)],
  });
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
  { sharing }: Sharer,
  x: Matrix,
  { cos, sin, length, half }: Angles,
  { positions, period }: Places,
  inverse: 0 | 1,
  y: GradientMatrix,
): void {
  const { rows: M, columns, stride: ldx } = x;
  const { accumulate: add, stride: ldo } = y;
  const heads = columns / (2 * half);
  runRange(sharing, {
    kernel: 'rotate',
    flops: COST.turn * M * columns,
    bytes: 0,
    size: M,
    grain: 1,
    part: (from, count) => {
      const [px, to, first] = [rowAt(x, from), rowAt(y, from), from % period];
      return [count, heads, half, px, ldx, positions, first, period, length, cos, sin, inverse, add, to, ldo];
    },
    outputs: () => [spanOf(y)],
  });
}

/** Addresses of the inputs of a gated activation. */
export interface Gated {
  readonly gate: number;
  readonly up: number;
}

/** y = silu(gate) ⊙ up of n elements. */
export function activate({ sharing }: Sharer, n: number, { gate, up }: Gated, y: number): void {
  runRange(sharing, {
    kernel: 'swigluForward',
    flops: COST.activation * n,
    bytes: 0,
    size: n,
    grain: LINE,
    part: (from, count) => [count, vectorFrom(gate, from), vectorFrom(up, from), vectorFrom(y, from)],
    outputs: () => [{ pointer: y, bytes: 4 * n }],
  });
}

/** dup (+)= dy ⊙ silu(gate). */
export function activateUpGradient(
  { sharing }: Sharer,
  n: number,
  { gate, dy }: { gate: number; dy: number },
  { pointer, accumulate }: GradientVector,
): void {
  runRange(sharing, {
    kernel: 'swigluBackwardUp',
    flops: COST.activation * n,
    bytes: 0,
    size: n,
    grain: LINE,
    part: (from, count) => {
      const [pg, pd] = [vectorFrom(gate, from), vectorFrom(dy, from)];
      return [count, pg, pd, accumulate, vectorFrom(pointer, from)];
    },
    outputs: () => [{ pointer, bytes: 4 * n }],
  });
}

/** dgate (+)= dy ⊙ up ⊙ silu'(gate). */
export function activateGateGradient(
  { sharing }: Sharer,
  n: number,
  { gate, up, dy }: Gated & { dy: number },
  { pointer, accumulate }: GradientVector,
): void {
  runRange(sharing, {
    kernel: 'swigluBackwardGate',
    flops: COST.activation * n,
    bytes: 0,
    size: n,
    grain: LINE,
    part: (from, count) => {
      const [pg, pu, pd] = [vectorFrom(gate, from), vectorFrom(up, from), vectorFrom(dy, from)];
      return [count, pg, pu, pd, accumulate, vectorFrom(pointer, from)];
    },
    outputs: () => [{ pointer, bytes: 4 * n }],
  });
}
