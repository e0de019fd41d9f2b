/** Linear: y = x·Wᵀ + b, with PyTorch's shapes and initialisation. */

import { linearAs } from '../ops/linear.js';
import { checkRuntime } from '../tensor/check-runtime.js';
import type { Parameter } from '../tensor/parameter.js';
import type { Runtime } from '../tensor/runtime.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkBoolean, checkInteger, checkOptions } from '../values/checks.js';
import type { WeightDType } from '../values/dtypes.js';
import { checkWeightOptions, drawWeightAndBias } from './layer-parameters.js';
import { Module } from './module.js';

/** What a `Linear` takes beside its sizes. */
export interface LinearOptions {
  /** Whether a bias is added. Default true. */
  readonly bias?: boolean;
  /** The weight is stored [in, out], as GPT-2's Conv1D stores it. Default false. */
  readonly fanInFanOut?: boolean;
  /** A parameter to share, in the shape of `weight`, taken as it is. Default: a new one. */
  readonly weight?: Parameter;
  /**
   * Type of a new weight's elements. Default `'f32'`. Any other is frozen: it takes less memory, computes with the bits of its
   * values in float32 (one row of x over quantised blocks comes near them), and adapters train beside it. A quantised one (`'q8_0'`, `'q4_K'` ...) starts as zeros, which
   * `weight.writeBytes` fills with the blocks of a GGUF file; its rows are whole blocks.
   */
  readonly dtype?: WeightDType;
}

/** `y = x · Wᵀ + bias`: `[..., inFeatures]` to `[..., outFeatures]`. */
export class Linear extends Module {
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** Whether the weight is stored [in, out]. */
  readonly fanInFanOut: boolean;
  /** [out, in], or [in, out] with `fanInFanOut` */
  readonly weight: Parameter;
  /** [out], or null */
  readonly bias: Parameter | null;
  /** @internal */ readonly runtime: Runtime;

  /**
   * Weight and bias drawn from U(±1/√in), as PyTorch's.
   * @param runtime - where the parameters live
   * @param inFeatures - size of the last dimension of x
   * @param outFeatures - size of the last dimension of y
   * @throws TypeError, RangeError, OutOfMemoryError
   */
  constructor(runtime: Runtime, inFeatures: number, outFeatures: number, options: LinearOptions = {}) {
    super();
    checkRuntime('Linear', runtime);
    checkOptions('Linear', options, ['bias', 'fanInFanOut', 'weight', 'dtype']);
    this.inFeatures = checkInteger('Linear: inFeatures', inFeatures, 1, 2 ** 31 - 1);
    this.outFeatures = checkInteger('Linear: outFeatures', outFeatures, 1, 2 ** 31 - 1);
    const withBias = checkBoolean('Linear: bias', options.bias ?? true);
    this.fanInFanOut = checkBoolean('Linear: fanInFanOut', options.fanInFanOut ?? false);
    this.runtime = runtime;
    const bound = 1 / Math.sqrt(inFeatures);
    const shape = this.fanInFanOut ? [inFeatures, outFeatures] : [outFeatures, inFeatures];
    const plan = checkWeightOptions('Linear', runtime, options, shape);
    const made = drawWeightAndBias(runtime, plan, withBias ? [outFeatures] : null, bound);
    this.weight = made.weight;
    this.bias = made.bias;
  }

  /** @param x - [..., in] float32 @returns [..., out] @throws TypeError, RangeError */
  override forward(x: Tensor): Tensor {
    return linearAs('Linear.forward', x, this.weight, this.bias, { fanInFanOut: this.fanInFanOut });
  }
}
