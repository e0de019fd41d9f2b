/**
 * The kernels of a language model over whole matrices, laid out as bare numbers and cut into shares: between rows, or for sums over rows
 * between columns, so that bits do not depend on the cut. Called by `ops`; attention is in `attention.ts`.
 */
import type { GradientMatrix, GradientVector, Normalised } from './matrices.js';
import { columnsOf, type Matrix, rowsOf, spanOf, vectorFrom } from './operands.js';
import { LINE, rangeWork, type Sharer } from './sharing.js';

/** Floating-point operations that the products do in the time of an element: what sharing it saves. */
const COST = { norm: 24, normGradient: 40, gamma: 20, turn: 16, activation: 90 } as const;

/** y = x·rstd ⊙ gamma of every row, and stats[M]: rstd = 1/√(mean of x² + eps). */
export function rmsNormalise(
  { sharing }: Sharer,
  eps: number,
  { x, gamma, y, stats }: { x: Matrix; gamma: number; y: Matrix; stats: number },
): void {
  const { rows: M, columns: N } = x;
  const work = rangeWork({
    kernel: 'rmsNormForward',
    outputs: [spanOf(y), { pointer: stats, bytes: 4 * M }],
    flops: COST.norm * M * N,
    size: M,
    grain: 1,
    part(from, count) {
      const { pointer: px, stride: ldx } = rowsOf(x, from, count);
      const { pointer: py, stride: ldy } = rowsOf(y, from, count);
      return [count, N, eps, px, ldx, gamma, py, ldy, vectorFrom(stats, from)];
    },
  });
  sharing.run(work);
}

/** dgamma (+)= Σ_m dy ⊙ x·rstd. */
export function rmsNormGamma({ sharing }: Sharer, { x, stats, dy }: Normalised, to: GradientVector): void {
  const { rows: M, columns: N } = x;
  const work = rangeWork({
    kernel: 'rmsNormBackwardGamma',
    outputs: [{ pointer: to.pointer, bytes: 4 * N }],
    flops: COST.gamma * M * N,
    size: N,
    grain: LINE,
    part(from, count) {
      const { pointer: px, stride: ldx } = columnsOf(x, from, count);
      const { pointer: pg, stride: ldg } = columnsOf(dy, from, count);
      return [M, count, px, ldx, stats, pg, ldg, to.accumulate, vectorFrom(to.pointer, from)];
    },
  });
  sharing.run(work);
}

/** dx of a normalisation by root mean square. */
export function rmsNormGradient(
  { sharing }: Sharer,
  { x, gamma, stats, dy }: Normalised & { gamma: number },
  dx: GradientMatrix,
): void {
  const { rows: M, columns: N } = x;
  const work = rangeWork({
    kernel: 'rmsNormBackward',
    outputs: [spanOf(dx)],
    flops: COST.normGradient * M * N,
    size: M,
    grain: 1,
    part(from, count) {
      const { pointer: px, stride: ldx } = rowsOf(x, from, count);
      const { pointer: pg, stride: ldg } = rowsOf(dy, from, count);
      const { pointer: to, stride: ldo } = rowsOf(dx, from, count);
      return [count, N, px, ldx, gamma, vectorFrom(stats, from), pg, ldg, dx.accumulate, to, ldo];
    },
  });
  sharing.run(work);
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
  const { rows: M, columns } = x;
  const heads = columns / (2 * half);
  const work = rangeWork({
    kernel: 'rotate',
    outputs: [spanOf(y)],
    flops: COST.turn * M * columns,
    size: M,
    grain: 1,
    part(from, count) {
      const { pointer: px, stride: ldx } = rowsOf(x, from, count);
      const { pointer: to, stride: ldo } = rowsOf(y, from, count);
      const [first, add] = [from % period, y.accumulate];
      return [count, heads, half, px, ldx, positions, first, period, length, cos, sin, inverse, add, to, ldo];
    },
  });
  sharing.run(work);
}

/** Addresses of the inputs of a gated activation. */
export interface Gated {
  readonly gate: number;
  readonly up: number;
}

/** y = silu(gate) ⊙ up of n elements. */
export function activate({ sharing }: Sharer, n: number, { gate, up }: Gated, y: number): void {
  const work = rangeWork({
    kernel: 'swigluForward',
    outputs: [{ pointer: y, bytes: 4 * n }],
    flops: COST.activation * n,
    size: n,
    grain: LINE,
    part: (from, count) => [count, vectorFrom(gate, from), vectorFrom(up, from), vectorFrom(y, from)],
  });
  sharing.run(work);
}

/** dup (+)= dy ⊙ silu(gate). */
export function activateUpGradient(
  { sharing }: Sharer,
  n: number,
  { gate, dy }: { gate: number; dy: number },
  { pointer, accumulate }: GradientVector,
): void {
  const work = rangeWork({
    kernel: 'swigluBackwardUp',
    outputs: [{ pointer, bytes: 4 * n }],
    flops: COST.activation * n,
    size: n,
    grain: LINE,
    part: (from, count) => {
      return [count, vectorFrom(gate, from), vectorFrom(dy, from), accumulate, vectorFrom(pointer, from)];
    },
  });
  sharing.run(work);
}

/** dgate (+)= dy ⊙ up ⊙ silu'(gate). */
export function activateGateGradient(
  { sharing }: Sharer,
  n: number,
  { gate, up, dy }: Gated & { dy: number },
  { pointer, accumulate }: GradientVector,
): void {
  const work = rangeWork({
    kernel: 'swigluBackwardGate',
    outputs: [{ pointer, bytes: 4 * n }],
    flops: COST.activation * n,
    size: n,
    grain: LINE,
    part: (from, count) => {
      const [pg, pu, pd] = [vectorFrom(gate, from), vectorFrom(up, from), vectorFrom(dy, from)];
      return [count, pg, pu, pd, accumulate, vectorFrom(pointer, from)];
    },
  });
  sharing.run(work);
}
