/**
 * Draws of the counter-based generator: their place as a record, laid out here as the kernels' bare numbers. The same place gives the
 * same numbers. Called by `tensor` and `ops`.
 */
import type { Kernels } from './abi.js';
import type { GradientVector } from './matrices.js';

/** Key (seed) and counter of a draw; the rest of the counter is the element's number. */
export interface DrawPlace {
  readonly seedLow: number;
  readonly seedHigh: number;
  readonly stream: number;
  readonly layer: number;
  readonly step: number;
}

/** An address of so many elements. */
interface Drawn {
  readonly size: number;
  readonly pointer: number;
}

/** The place as every kernel that draws takes it. */
function numbersOf({ seedLow, seedHigh, stream, layer, step }: DrawPlace) {
  return [seedLow, seedHigh, stream, layer, step] as const;
}

/** y from U[low, high). */
export function uniformTo(k: Kernels, place: DrawPlace, low: number, high: number, y: Drawn): void {
  k.randomUniform(y.size, ...numbersOf(place), low, high, y.pointer);
}

/** y: normal numbers of mean 0 and standard deviation std. */
export function normalTo(k: Kernels, place: DrawPlace, std: number, y: Drawn): void {
  k.randomNormal(y.size, ...numbersOf(place), std, y.pointer);
}

/** y (+)= x ⊙ mask/(1 - p), the mask 0 with probability p. */
export function maskTo(k: Kernels, place: DrawPlace, p: number, x: Drawn, y: GradientVector): void {
  k.dropout(x.size, ...numbersOf(place), p, x.pointer, y.accumulate, y.pointer);
}
