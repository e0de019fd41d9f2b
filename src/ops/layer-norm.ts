/** Layer normalisation over the last dimensions, and its backward from the kept mean and rstd of each row. */

import { gradientMatrix, layerNormGamma, layerNormGradient, normalise, sumRows } from '../engine/matrices.js';
import { matrix } from '../engine/operands.js';
import type { Runtime } from '../tensor/runtime.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkNumber } from '../values/checks.js';
import { checkShape, type Shape, sameShape, showShape, sizeOf } from '../values/shape.js';
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
  const { rt, N } = checkLayerNorm(where, { x, weight, bias }, normalizedShape, eps);
  const M = x.size / N;
  const { kernels } = rt.engine;
  return rt.attempt(() => {
    const y = rt.empty(x.shape, 'f32');
    const stats = rt.empty([M, 2], 'f32');
    normalise(kernels, eps, {
      x: matrix(x.pointer, M, N),
      gamma: weight?.pointer ?? 0,
      beta: bias?.pointer ?? 0,
      y: matrix(y.pointer, M, N),
      stats: stats.pointer,
    });
    rt.record(y, {
      name: where,
      inputs: { x, weight, bias },
      keep: { x, stats, weight: x.requiresGrad ? weight : null },
      backward({ dy, at, grad }) {
        const [rows, stats] = [matrix(at('x'), M, N), at('stats')];
        const dys = matrix(dy.pointer, M, N);
        const db = grad('bias');
        if (db !== null) sumRows(kernels, dys, db);
        const dw = grad('weight');
        if (dw !== null) layerNormGamma(kernels, { x: rows, stats, dy: dys }, dw);
        const dx = grad('x');
        if (dx === null) return;
        const gamma = weight === null ? 0 : at('weight');
        layerNormGradient(kernels, { x: rows, gamma, stats, dy: dys }, gradientMatrix(dx, M, N));
      },
    });
    stats.dispose();
    return y;
  });
}

/** @throws TypeError, RangeError unless x ends in `normalizedShape` and weight and bias have it */
function checkLayerNorm(
  where: string,
  { x, weight, bias }: { x: Tensor; weight: Tensor | null; bias: Tensor | null },
  normalizedShape: Shape,
  eps: number,
): { rt: Runtime; N: number } {
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
  return { rt, N };
}
