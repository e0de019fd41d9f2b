/** Conv2d: a convolution over images, with PyTorch's shapes and initialisation. */

import { type Conv2dOperationOptions, checkPair, type Pair } from '../ops/conv-sizes.js';
import { conv2dAs } from '../ops/conv2d.js';
import { checkRuntime } from '../tensor/check-runtime.js';
import type { Parameter } from '../tensor/parameter.js';
import type { Runtime } from '../tensor/runtime.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkBoolean, checkInteger, checkOptions } from '../values/checks.js';
import type { WeightDType } from '../values/dtypes.js';
import { checkWeightOptions, drawWeightAndBias } from './layer-parameters.js';
import { Module } from './module.js';

/** What a `Conv2d` takes beside its channels and kernel. */
export interface Conv2dOptions extends Conv2dOperationOptions {
  /** Whether a bias is added. Default true. */
  readonly bias?: boolean;
  /** A parameter to share, [out, in/groups, kh, kw], taken as it is. Default: a new one. */
  readonly weight?: Parameter;
  /**
   * Type of a new weight's elements. Default `'f32'`. Any other is frozen: it takes less memory, is expanded to float32 for the
   * time of a call, and adapters train beside it. Rows of a quantised one, along a window's width, are whole blocks.
   */
  readonly dtype?: WeightDType;
}

/** A 2-d convolution: `[batch, inChannels, height, width]` to `[batch, outChannels, outHeight, outWidth]`. */
export class Conv2d extends Module {
  readonly inChannels: number;
  readonly outChannels: number;
  /** [height, width], as are stride, padding and dilation. */
  readonly kernelSize: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly groups: number;
  /** [out, in/groups, kh, kw] */
  readonly weight: Parameter;
  /** [out], or null */
  readonly bias: Parameter | null;
  /** @internal */ readonly runtime: Runtime;

  /**
   * Weight and bias drawn from U(±1/√(in/groups·kh·kw)), as PyTorch's.
   * @param runtime - where the parameters live
   * @param inChannels - channels of x, a multiple of `groups`
   * @param outChannels - channels of y, a multiple of `groups`
   * @param kernelSize - size of the window
   * @throws TypeError, RangeError, OutOfMemoryError
   */
  constructor(
    runtime: Runtime,
    inChannels: number,
    outChannels: number,
    kernelSize: Pair,
    options: Conv2dOptions = {},
  ) {
    super();
    checkRuntime('Conv2d', runtime);
    checkOptions('Conv2d', options, ['stride', 'padding', 'dilation', 'groups', 'bias', 'weight', 'dtype']);
    this.groups = checkInteger('Conv2d: groups', options.groups ?? 1, 1, 2 ** 31 - 1);
    this.inChannels = this.#channels('inChannels', inChannels);
    this.outChannels = this.#channels('outChannels', outChannels);
    this.kernelSize = checkPair('Conv2d: kernelSize', kernelSize, 1);
    this.stride = checkPair('Conv2d: stride', options.stride ?? 1, 1);
    this.padding = checkPair('Conv2d: padding', options.padding ?? 0, 0);
    this.dilation = checkPair('Conv2d: dilation', options.dilation ?? 1, 1);
    const withBias = checkBoolean('Conv2d: bias', options.bias ?? true);
    this.runtime = runtime;
    const shape = [outChannels, inChannels / this.groups, ...this.kernelSize];
    const bound = 1 / Math.sqrt(shape[1]! * shape[2]! * shape[3]!);
    const plan = checkWeightOptions('Conv2d', runtime, options, shape);
    const made = drawWeightAndBias(runtime, plan, withBias ? [outChannels] : null, bound);
    this.weight = made.weight;
    this.bias = made.bias;
  }

  /** @param x - [batch, in, h, w] or [in, h, w] float32 @returns [batch, out, oh, ow] @throws TypeError, RangeError */
  override forward(x: Tensor): Tensor {
    const { stride, padding, dilation, groups } = this;
    return conv2dAs('Conv2d.forward', x, this.weight, this.bias, { stride, padding, dilation, groups });
  }

  #channels(name: string, value: number): number {
    checkInteger(`Conv2d: ${name}`, value, 1, 2 ** 31 - 1);
    if (value % this.groups !== 0)
      throw new RangeError(`Conv2d: ${name} is ${value}, expected a multiple of groups ${this.groups}`);
    return value;
  }
}
