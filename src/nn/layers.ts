/** Layers without parameters, and layers in a row. */

import { relu } from '../ops/elementwise.js';
import { describe } from '../runtime/errors.js';
import type { Tensor } from '../tensor/tensor.js';
import { type Child, childrenOfArray, Module } from './module.js';

/** y = max(x, 0). */
export class ReLU extends Module {
  override forward(x: Tensor): Tensor {
    return relu(x);
  }
}

/** Layers one after another; their names are `0`, `1`, ... */
export class Sequential extends Module {
  readonly layers: Module[];

  /** @throws TypeError */
  constructor(...layers: Module[]) {
    super();
    for (const [i, layer] of layers.entries()) {
      if (!(layer instanceof Module))
        throw new TypeError(`Sequential: layer ${i} is ${describe(layer)}, expected a Module`);
    }
    this.layers = layers;
  }

  override children(): Iterable<Child> {
    return childrenOfArray(this.layers, '');
  }

  override forward(x: Tensor): Tensor {
    return this.layers.reduce((value, layer) => layer.forward(value), x);
  }
}
