/** Normalisation by the root mean square of the last dimension, and its backward from the kept rstd of each row. */

import { gradientMatrix } from '../engine/matrices.js';
import { matrix } from '../engine/operands.js';
import { rmsNormalise, rmsNormGamma, rmsNormGradient } from '../engine/transformer.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkNumber } from '../values/checks.js';
import { showShape } from '../values/shape.js';
import { asRows, checkTensors } from './check.js';

/**
 * y = x/√(mean of x² + eps) ⊙ weight, the mean over the last dimension (Zhang and Sennrich, arXiv 1910.07467).
 * @param x - [..., N] float32, N at least 1
 * @param weight - [N] float32
 * @param eps - added to the mean, default 1e-6
 * @throws TypeError, RangeError
 * @example
 * const y = rmsNorm(rt.normal([2, 5, 8]), rt.full([8], 1));
 */
export function rmsNorm(x: Tensor, weight: Tensor, eps = 1e-6): Tensor {
  return rmsNormAs('rmsNorm', x, weight, eps);
}

/** The same for a layer, which errors then name. */
export function rmsNormAs(where: string, x: Tensor, weight: Tensor, eps: number): Tensor {
  const rt = checkTensors(where, { x, weight });
  checkNumber(`${where}: eps`, eps, 0, Number.MAX_VALUE);
  const N = weight.shape[0];
  if (weight.shape.length !== 1 || N === undefined || N === 0)
    throw new RangeError(`${where}: weight is ${showShape(weight.shape)}, expected [N] with N from 1`);
  const { rows: M, cols } = asRows(where, 'x', x);
  if (cols !== N) throw new RangeError(`${where}: x is ${showShape(x.shape)}, expected [..., ${N}]`);
  const { engine } = rt;
  return rt.attempt(() => {
    const y = rt.empty(x.shape, 'f32');
    const stats = rt.empty([M], 'f32');
    rmsNormalise(engine, eps, {
      x: matrix(x.pointer, M, N),
      gamma: weight.pointer,
      y: matrix(y.pointer, M, N),
      stats: stats.pointer,
    });
    rt.record(y, {
      name: where,
      inputs: { x, weight },
      keep: { x, stats, weight: x.requiresGrad ? weight : null },
      backward({ dy, at, grad }) {
        const [rows, stats, dyRows] = [matrix(at('x'), M, N), at('stats'), matrix(dy.pointer, M, N)];
        const dw = grad('weight');
        if (dw !== null) rmsNormGamma(engine, { x: rows, stats, dy: dyRows }, dw);
        const dx = grad('x');
        if (dx === null) return;
        const read = { x: rows, stats, dy: dyRows, gamma: at('weight') };
        rmsNormGradient(engine, read, gradientMatrix(dx, M, N));
      },
    });
    stats.dispose();
    return y;
  });
}
