/** Blocks to be run in checkpoints, and the bits of a step over them. */
import {
  Dropout,
  dropoutState,
  Linear,
  LoraLayer,
  loadDropoutState,
  type Module,
  type Runtime,
  Sequential,
  Tanh,
  type Tensor,
} from '../../src/index.js';

export type Run = (fn: (x: Tensor) => Tensor, x: Tensor) => Tensor;

export const plain: Run = (fn, x) => fn(x);

/** Blocks with dropout in them and on their adapters. */
export function blocks(rt: Runtime, count: number, width = 12): Sequential[] {
  return Array.from({ length: count }, () => {
    const options = { r: 2, loraDropout: 0.3, initLoraWeights: false };
    const adapted = LoraLayer.from(new Linear(rt, width, width), options);
    return new Sequential(adapted, new Dropout(rt, 0.2), new Tanh(), new Linear(rt, width, width));
  });
}

/** Bits of a step's loss and gradients, from nothing, and where random numbers stand after it. */
export function stepBits(rt: Runtime, model: Module, leaves: readonly Tensor[], loss: () => Tensor) {
  const state = rt.randomState();
  const masks = dropoutState(model);
  for (const one of leaves) one.grad = null;
  const value = rt.scope(() => {
    const y = loss();
    y.backward();
    return y.item();
  });
  const found = {
    ...{ value, grads: leaves.map(({ grad }) => (grad === null ? null : [...grad.toArray()])) },
    ...{ random: rt.randomState(), masks: dropoutState(model) },
  };
  rt.setRandomState(state);
  loadDropoutState(model, masks);
  return found;
}
