/** Layers without parameters, and layers in a row. */

import { activationAs, checkGelu, type GeluOptions, geluAs } from '../ops/activations.js';
import { checkTensors } from '../ops/check.js';
import type { Pair } from '../ops/conv-sizes.js';
import { reluAs } from '../ops/elementwise.js';
import { checkMaxPool2d, type MaxPool2dOptions, maxPool2dAs } from '../ops/max-pool2d.js';
import { reshape } from '../ops/reduce.js';
import { checkTensor } from '../tensor/check.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkInteger, describe } from '../values/checks.js';
import { showShape, sizeOf } from '../values/shape.js';
import { type Child, childrenIn, type Layer, Module } from './module.js';

/** y = max(x, 0). */
export class ReLU extends Module {
  override forward(x: Tensor): Tensor {
    return reluAs('ReLU.forward', x);
  }
}

/** y = x·Φ(x), or its form with tanh. */
export class GELU extends Module {
  readonly approximate: 'none' | 'tanh';

  /** @throws TypeError */
  constructor(options: GeluOptions = {}) {
    super();
    this.approximate = checkGelu('GELU', options) === 1 ? 'tanh' : 'none';
  }

  override forward(x: Tensor): Tensor {
    return geluAs('GELU.forward', x, { approximate: this.approximate });
  }
}

/** y = tanh(x). */
export class Tanh extends Module {
  override forward(x: Tensor): Tensor {
    return activationAs('Tanh.forward', 'tanh', x);
  }
}

/** y = 1/(1 + e^-x). */
export class Sigmoid extends Module {
  override forward(x: Tensor): Tensor {
    return activationAs('Sigmoid.forward', 'sigmoid', x);
  }
}

/** The dimensions from `startDim` on as one, without a copy. */
export class Flatten extends Module {
  readonly startDim: number;

  /** @param startDim - default 1: all but the batch @throws TypeError, RangeError */
  constructor(startDim = 1) {
    super();
    this.startDim = checkInteger('Flatten: startDim', startDim, 0, 2 ** 31 - 1);
  }

  /** @throws RangeError where x has no dimension `startDim` */
  override forward(x: Tensor): Tensor {
    checkTensor('Flatten.forward', 'x', x, {});
    const { startDim } = this;
    if (startDim >= Math.max(x.shape.length, 1))
      throw new RangeError(
        `Flatten.forward: x is ${showShape(x.shape)}, expected more than ${startDim} dimensions`,
      );
    return reshape(x, [...x.shape.slice(0, startDim), sizeOf(x.shape.slice(startDim))]);
  }
}

/** The largest element of each window of an image. */
export class MaxPool2d extends Module {
  /** [height, width], as are stride, padding and dilation. */
  readonly kernelSize: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly dilation: readonly [number, number];

  /**
   * @param kernelSize - size of the window, and its step unless `stride` says otherwise
   * @throws TypeError, RangeError
   */
  constructor(kernelSize: Pair, options: MaxPool2dOptions = {}) {
    super();
    const window = checkMaxPool2d('MaxPool2d', kernelSize, options);
    this.kernelSize = window.kernelSize;
    this.stride = window.stride;
    this.padding = window.padding;
    this.dilation = window.dilation;
  }

  /** @param x - [batch, channels, h, w] or [channels, h, w] @throws TypeError, RangeError */
  override forward(x: Tensor): Tensor {
    const { stride, padding, dilation } = this;
    return maxPool2dAs('MaxPool2d.forward', x, this.kernelSize, { stride, padding, dilation });
  }
}

/** Layers one after another; their names are `0`, `1`, ... */
export class Sequential extends Module {
  readonly layers: Layer[];

  /** @throws TypeError */
  constructor(...layers: Layer[]) {
    super();
    for (const [i, layer] of layers.entries()) {
      if (!(layer instanceof Module))
        throw new TypeError(`Sequential: layer ${i} is ${describe(layer)}, expected a Module`);
    }
    this.layers = layers;
  }

  override children(): Iterable<Child> {
    return childrenIn(this.layers);
  }

  override forward(x: Tensor): Tensor {
    return checkTensors('Sequential.forward', { x }, x?.dtype).attempt(() =>
      this.layers.reduce((value, layer) => layer.forward(value), x),
    );
  }
}
