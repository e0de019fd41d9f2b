/** A model of layers and functions with names of their own, run one after the other: for tests of what a model's names decide. */
import { type Layer, Module, type Tensor } from '../../src/index.js';

type Step = Layer | ((x: Tensor) => Tensor);

export class Chain extends Module {
  readonly #names: readonly string[];

  constructor(steps: Readonly<Record<string, Step>>) {
    super();
    this.#names = Object.keys(steps);
    Object.assign(this, steps);
  }

  /** What stands under a name is asked for at every call, since adapters take the place of layers. */
  override forward(x: Tensor): Tensor {
    return this.#names.reduce((y, name) => {
      const step = Reflect.get(this, name) as Step;
      return typeof step === 'function' ? step(y) : step.forward(y);
    }, x);
  }
}

export function chain<T extends Readonly<Record<string, Step>>>(steps: T): Chain & T {
  return new Chain(steps) as Chain & T;
}
