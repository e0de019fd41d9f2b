/** RMSNorm: normalises the last dimension by its root mean square, with PyTorch's name and initialisation. */

import { rmsNormAs } from '../ops/rms-norm.js';
import { checkRuntime } from '../tensor/check-runtime.js';
import type { Parameter } from '../tensor/parameter.js';
import type { Runtime } from '../tensor/runtime.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkInteger, checkNumber, checkOptions } from '../values/checks.js';
import { makeParameters } from './layer-parameters.js';
import { Module } from './module.js';

/** What an `RMSNorm` takes beside its size. */
export interface RMSNormOptions {
  /** Added to the mean of the squares. Default 1e-6. */
  readonly eps?: number;
}

/** Divides the last dimension by its root mean square, then scales it. */
export class RMSNorm extends Module {
  readonly size: number;
  readonly eps: number;
  /** [size] */
  readonly weight: Parameter;
  /** @internal */ readonly runtime: Runtime;

  /**
   * The weight starts as ones.
   * @param runtime - where the weight lives
   * @param size - elements of the last dimension of x
   * @throws TypeError, RangeError, OutOfMemoryError
   */
  constructor(runtime: Runtime, size: number, options: RMSNormOptions = {}) {
    super();
    checkRuntime('RMSNorm', runtime);
    checkOptions('RMSNorm', options, ['eps']);
    this.size = checkInteger('RMSNorm: size', size, 1, 2 ** 31 - 1);
    this.eps = checkNumber('RMSNorm: eps', options.eps ?? 1e-6, 0, Number.MAX_VALUE);
    this.runtime = runtime;
    this.weight = makeParameters(runtime, [{ shape: [size] }])[0]!;
    runtime.engine.kernels.fill(size, 1, this.weight.pointer);
  }

  /** @param x - [..., size] float32 @returns the same shape @throws TypeError, RangeError */
  override forward(x: Tensor): Tensor {
    return rmsNormAs('RMSNorm.forward', x, this.weight, this.eps);
  }
}
