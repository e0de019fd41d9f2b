/** Smooth activations. The backward of tanh and sigmoid needs the output alone, that of gelu the input. */

import type { Tensor } from '../tensor/tensor.js';
import { checkOptions, describe } from '../values/checks.js';
import { checkTensors } from './check.js';

/** y = tanh(x). @throws TypeError */
export function tanh(x: Tensor): Tensor {
  return activationAs('tanh', 'tanh', x);
}

/** y = 1/(1 + e^-x). @throws TypeError */
export function sigmoid(x: Tensor): Tensor {
  return activationAs('sigmoid', 'sigmoid', x);
}

/** Either for a layer, which errors then name. */
export function activationAs(where: string, name: 'tanh' | 'sigmoid', x: Tensor): Tensor {
  const rt = checkTensors(where, { x });
  const { kernels } = rt.engine;
  const y = rt.empty(x.shape, 'f32');
  kernels[`${name}Forward`](y.size, x.pointer, y.pointer);
  return rt.record(y, {
    name: where,
    inputs: { x },
    keep: { y },
    backward({ dy, at, grad }) {
      const dx = grad('x');
      if (dx !== null) kernels[`${name}Backward`](dy.size, at('y'), dy.pointer, dx.accumulate, dx.pointer);
    },
  });
}

/** What `gelu` takes beside x. */
export interface GeluOptions {
  /** `'tanh'` takes x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))). Default `'none'`: x·Φ(x), Φ the normal distribution. */
  readonly approximate?: 'none' | 'tanh';
}

/** 1 for the form with tanh, else 0. @throws TypeError */
export function checkGelu(where: string, options: GeluOptions): 0 | 1 {
  checkOptions(where, options, ['approximate']);
  const { approximate = 'none' } = options;
  if (approximate !== 'none' && approximate !== 'tanh')
    throw new TypeError(`${where}: approximate is ${describe(approximate)}, expected 'none' or 'tanh'`);
  return approximate === 'tanh' ? 1 : 0;
}

/** y = x·Φ(x), or its form with tanh (Hendrycks and Gimpel, arXiv 1606.08415). @throws TypeError */
export function gelu(x: Tensor, options: GeluOptions = {}): Tensor {
  return geluAs('gelu', x, options);
}

/** The same for a layer, which errors then name. */
export function geluAs(where: string, x: Tensor, options: GeluOptions): Tensor {
  const rt = checkTensors(where, { x });
  const form = checkGelu(where, options);
  const { kernels } = rt.engine;
  const y = rt.empty(x.shape, 'f32');
  kernels.geluForward(y.size, form, x.pointer, y.pointer);
  return rt.record(y, {
    name: where,
    inputs: { x },
    keep: { x },
    backward({ dy, at, grad }) {
      const dx = grad('x');
      if (dx !== null) kernels.geluBackward(dy.size, form, at('x'), dy.pointer, dx.accumulate, dx.pointer);
    },
  });
}
