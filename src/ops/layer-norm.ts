/** Layer normalisation over the last dimensions, and its backward from the kept mean and rstd of each row. */
import { checkNumber } from '../runtime/errors.js';
import { checkShape, type Shape, sameShape, showShape, sizeOf } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkTensors } from './check.js';

/**
 * y = (x - mean)/√(variance + eps) ⊙ weight + bias, mean and variance (divided by their count) over the last dimensions.
 * @param x - [..., ...normalizedShape] float32
 * @param normalizedShape - the last dimensions of x, at least one
 * @param weight - normalizedShape, or null: 1
 * @param bias - normalizedShape, or null: 0
 * @throws TypeError, RangeError
 * @example
 * const y = layerNorm(rt.normal([2, 5, 8]), [8]);
 */
export function layerNorm(
  x: Tensor,
  normalizedShape: Shape,
  weight: Tensor | null = null,
  bias: Tensor | null = null,
  eps = 1e-5,
): Tensor {
  return layerNormAs('layerNorm', x, normalizedShape, weight, bias, eps);
}

/** The same for a layer, which errors then name. */
export function layerNormAs(
  where: string,
  x: Tensor,
  normalizedShape: Shape,
  weight: Tensor | null,
  bias: Tensor | null,
  eps: number,
): Tensor {
  const rt = checkTensors(where, {
    x,
    ...(weight === null ? {} : { weight }),
    ...(bias === null ? {} : { bias }),
  });
  checkNumber(`${where}: eps`, eps, 0, Number.MAX_VALUE);
  const shape = checkShape(`${where}: normalizedShape`, normalizedShape);
  const N = sizeOf(shape);
  const count = shape.length;
  if (count === 0 || N === 0)
    throw new RangeError(`${where}: normalizedShape is ${showShape(shape)}, expected at least one element`);
  if (count > x.shape.length || !sameShape(x.shape.slice(-count), shape))
    throw new RangeError(`${where}: x is ${showShape(x.shape)}, expected [..., ${shape.join(', ')}]`);
  for (const [name, tensor] of Object.entries({ weight, bias })) {
    if (tensor !== null && !sameShape(tensor.shape, shape))
      throw new RangeError(`${where}: ${name} is ${showShape(tensor.shape)}, expected ${showShape(shape)}`);
  }
  const M = x.size / N;
  const { kernels } = rt.engine;
  return rt.attempt(() => {
    const y = rt.empty(x.shape, 'f32');
    const stats = rt.empty([M, 2], 'f32');
    kernels.layerNormForward(
      ...([M, N, eps, x.pointer, N, weight?.pointer ?? 0, bias?.pointer ?? 0] as const),
      ...([y.pointer, N, stats.pointer] as const),
    );
    const [xs, ss, ws] = [x.storage, stats.storage, weight?.storage];
    const [xo, wo] = [x.offset, weight?.offset ?? 0];
    rt.record(y, {
      name: where,
      inputs: [x, weight, bias],
      saved: [x, stats, ...(weight !== null && x.requiresGrad ? [weight] : [])],
      backward: ({ dy, target }) => {
        const at = xs.pointer + xo;
        const db = target(2);
        if (db !== null) kernels.sumRows(M, N, dy.pointer, N, db.accumulate, db.pointer);
        const dw = target(1);
        if (dw !== null)
          kernels.layerNormBackwardGamma(
            ...([M, N, at, N, ss.pointer, dy.pointer, N, dw.accumulate, dw.pointer] as const),
          );
        const dx = target(0);
        if (dx === null) return;
        const gamma = ws === undefined ? 0 : ws.pointer + wo;
        kernels.layerNormBackward(
          ...([M, N, at, N, gamma, ss.pointer, dy.pointer, N, dx.accumulate, dx.pointer, N] as const),
        );
      },
    });
    stats.dispose();
    return y;
  });
}
