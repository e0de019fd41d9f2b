/** LayerNorm: normalises the last dimensions, with PyTorch's names and initialisation. */

import { layerNormAs } from '../ops/layer-norm.js';
import { checkRuntime } from '../tensor/check-runtime.js';
import type { Parameter } from '../tensor/parameter.js';
import type { Runtime } from '../tensor/runtime.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkBoolean, checkInteger, checkNumber, checkOptions, describe } from '../values/checks.js';
import type { Shape } from '../values/shape.js';
import { makeParameters } from './layer-parameters.js';
import { Module } from './module.js';

/** What a `LayerNorm` takes beside its shape. */
export interface LayerNormOptions {
  /** Added to the variance. Default 1e-5. */
  readonly eps?: number;
  /** Whether there is a weight, and with it a bias. Default true. */
  readonly affine?: boolean;
  /** Whether there is a bias beside the weight. Default true. */
  readonly bias?: boolean;
}

/** Normalises the last dimensions to mean 0 and variance 1, then scales and shifts. */
export class LayerNorm extends Module {
  readonly normalizedShape: Shape;
  readonly eps: number;
  /** normalizedShape, or null */
  readonly weight: Parameter | null;
  /** normalizedShape, or null */
  readonly bias: Parameter | null;
  /** @internal */ readonly runtime: Runtime;

  /**
   * The weight starts as ones, the bias as zeros.
   * @param runtime - where the parameters live
   * @param normalizedShape - the last dimensions of x; a number is the last one
   * @throws TypeError, RangeError, OutOfMemoryError
   */
  constructor(runtime: Runtime, normalizedShape: number | Shape, options: LayerNormOptions = {}) {
    super();
    checkRuntime('LayerNorm', runtime);
    checkOptions('LayerNorm', options, ['eps', 'affine', 'bias']);
    const shape = typeof normalizedShape === 'number' ? [normalizedShape] : normalizedShape;
    if (!Array.isArray(shape) || shape.length === 0)
      throw new TypeError(
        `LayerNorm: normalizedShape is ${describe(normalizedShape)}, expected a number or an array of them`,
      );
    for (const dim of shape) checkInteger('LayerNorm: normalizedShape', dim, 1, 2 ** 31 - 1);
    this.normalizedShape = [...shape];
    this.eps = checkNumber('LayerNorm: eps', options.eps ?? 1e-5, 0, Number.MAX_VALUE);
    const affine = checkBoolean('LayerNorm: affine', options.affine ?? true);
    const withBias = checkBoolean('LayerNorm: bias', options.bias ?? true);
    this.runtime = runtime;
    const own = this.normalizedShape;
    const [weight, bias] = makeParameters(runtime, [
      affine ? { shape: own } : null,
      affine && withBias ? { shape: own } : null,
    ]);
    this.weight = weight!;
    this.bias = bias!;
    if (this.weight !== null) runtime.engine.kernels.fill(this.weight.size, 1, this.weight.pointer);
  }

  /** @param x - [..., ...normalizedShape] float32 @returns the same shape @throws TypeError, RangeError */
  override forward(x: Tensor): Tensor {
    return layerNormAs('LayerNorm.forward', x, this.normalizedShape, this.weight, this.bias, this.eps);
  }
}
