/** Dropout: zeroes elements at random in training, passes them on in evaluation. */

import { checkTensors } from '../ops/check.js';
import { dropout } from '../ops/dropout.js';
import { checkRuntime } from '../tensor/check-runtime.js';
import type { Runtime } from '../tensor/runtime.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkNumber } from '../values/checks.js';
import { MaskCounter } from './mask-counter.js';
import { Module } from './module.js';

/**
 * In training sets each element to 0 with probability p and multiplies the others by `1 / (1 - p)`; in `eval` it changes
 * nothing.
 */
export class Dropout extends Module {
  /** The probability of zero. */
  readonly p: number;
  readonly #runtime: Runtime;
  readonly #masks: MaskCounter;

  /**
   * @param runtime - whose seed the masks follow
   * @param p - probability of zero, default 0.5; what stays is scaled by 1/(1 - p)
   * @throws TypeError, RangeError
   */
  constructor(runtime: Runtime, p = 0.5) {
    super();
    checkRuntime('Dropout', runtime);
    this.p = checkNumber('Dropout: p', p, 0, 1);
    this.#runtime = runtime;
    this.#masks = new MaskCounter(runtime);
  }

  /** In training a new mask at every call. In evaluation, or for p = 0, x itself. @throws TypeError */
  override forward(x: Tensor): Tensor {
    if (checkTensors('Dropout.forward', { x }) !== this.#runtime)
      throw new TypeError('Dropout.forward: x belongs to another runtime than the layer, expected its own');
    if (!this.training || this.p === 0) return x;
    return x.runtime.attempt(() => dropout('Dropout.forward', x, this.p, this.#masks.take()));
  }

  /** @internal */
  override get masks(): MaskCounter {
    return this.#masks;
  }
}
