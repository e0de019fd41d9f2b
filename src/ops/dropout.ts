/** Dropout with a mask of the runtime's counter-based generator: backward draws the same mask again and keeps nothing. */
import { maskTo } from '../engine/draws.js';
import { RANDOM_STREAM } from '../engine/engine.js';
import type { Runtime } from '../tensor/runtime.js';
import type { GradTarget } from '../tensor/tape.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkTensors } from './check.js';

/** A mask's place in the generator: the same numbers give the same mask. The seed stands here as it was at the forward. */
export interface MaskPlace {
  readonly seedLow: number;
  readonly seedHigh: number;
  readonly layer: number;
  readonly step: number;
}

/**
 * y = x ⊙ mask/(1 - p), the mask 0 with probability p.
 * @throws TypeError
 */
export function dropout(where: string, x: Tensor, p: number, mask: MaskPlace): Tensor {
  const rt = checkTensors(where, { x });
  const y = rt.empty(x.shape, 'f32');
  masked(rt, { p, mask }, y.size, x.pointer, { pointer: y.pointer, accumulate: 0 });
  return rt.record(y, {
    name: where,
    inputs: { x },
    keep: {},
    backward({ dy, grad }) {
      const dx = grad('x');
      if (dx !== null) masked(rt, { p, mask }, dy.size, dy.pointer, dx);
    },
  });
}

/** y (+)= x ⊙ mask/(1 - p) over n elements. */
export function masked(
  { engine }: Runtime,
  { p, mask: { seedLow, seedHigh, layer, step } }: { readonly p: number; readonly mask: MaskPlace },
  n: number,
  x: number,
  y: GradTarget,
): void {
  const { dropout: stream } = RANDOM_STREAM;
  maskTo(engine.kernels, { seedLow, seedHigh, stream, layer, step }, p, { size: n, pointer: x }, y);
}
