/** Clipping of gradients by their norm. */

import type { Parameter } from '../tensor/parameter.js';
import { checkNumber } from '../values/checks.js';
import { checkParameters } from './groups.js';

/**
 * Scales all gradients by maxNorm / (norm + 1e-6) where their common Euclidean norm exceeds `maxNorm`, as
 * `torch.nn.utils.clip_grad_norm_`. A norm that is not finite leaves the gradients alone.
 * @returns the norm before clipping, 0 where nothing has a gradient
 * @throws TypeError, RangeError
 */
export function clipGradNorm(parameters: readonly Parameter[], maxNorm: number): number {
  const checked = checkParameters('clipGradNorm', parameters);
  checkNumber('clipGradNorm: maxNorm', maxNorm, 0, Number.POSITIVE_INFINITY);
  const { kernels } = checked[0]!.runtime.engine;
  const gradients = checked.flatMap(({ grad }) => (grad === null ? [] : [grad]));
  const norm = Math.sqrt(
    gradients.reduce((total, { size, pointer }) => total + kernels.squaredNorm(size, pointer), 0),
  );
  const factor = maxNorm / (norm + 1e-6);
  if (factor < 1 && Number.isFinite(norm)) scaleGradients(checked, factor);
  return norm;
}

/** @internal Multiplies every gradient that there is. */
export function scaleGradients(parameters: readonly Parameter[], factor: number): void {
  for (const { grad, runtime } of parameters) {
    if (grad === null) continue;
    runtime.engine.kernels.scale(grad.size, factor, grad.pointer, grad.pointer);
    grad.storage.version++;
  }
}
