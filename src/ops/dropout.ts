/** Dropout with a mask of the runtime's counter-based generator: backward draws the same mask again and keeps nothing. */
import { RANDOM_STREAM } from '../engine/engine.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkTensors } from './check.js';

/**
 * y = x ⊙ mask/(1 - p), the mask 0 with probability p.
 * @param layer - the mask's place in the generator's counter, as is `step`: the same numbers give the same mask
 * @throws TypeError
 */
export function dropout(where: string, x: Tensor, p: number, layer: number, step: number): Tensor {
  const rt = checkTensors(where, { x });
  const { kernels, seedLow, seedHigh } = rt.engine;
  const masked = (n: number, from: number, accumulate: 0 | 1, to: number): void =>
    kernels.dropout(n, seedLow, seedHigh, RANDOM_STREAM.dropout, layer, step, p, from, accumulate, to);
  const y = rt.empty(x.shape, 'f32');
  masked(y.size, x.pointer, 0, y.pointer);
  return rt.record(y, {
    name: where,
    inputs: { x },
    keep: {},
    backward({ dy, grad }) {
      const dx = grad('x');
      if (dx !== null) masked(dy.size, dy.pointer, dx.accumulate, dx.pointer);
    },
  });
}
