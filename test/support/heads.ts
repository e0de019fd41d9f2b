/** Heads, labels and the step of a loss over them, for the tests of linearCrossEntropy. */
import { Linear, LoraLayer, type Runtime, type Tensor } from '../../src/index.js';
import { gradientsOf } from './tensors.js';

/** Labels below `classes`, of which about one in `every` does not count. */
export function labelsOf(rows: number, classes: number, every = 3): Int32Array<ArrayBuffer> {
  return Int32Array.from({ length: rows }, (_, i) => (i % every === 1 ? -100 : (7 * i + 3) % classes));
}

/** Loss and gradients after a step from nothing. */
export function lossStep(rt: Runtime, loss: () => Tensor, leaves: readonly Tensor[]) {
  for (const one of leaves) one.grad = null;
  const value = rt.scope(() => {
    const y = loss();
    y.backward();
    return y.item();
  });
  return { value, grads: gradientsOf(leaves) };
}

/** A head of 9 classes with an adapter that does something. */
export function adaptedHead(rt: Runtime, options: object = {}, bias = false) {
  const layer = LoraLayer.from(new Linear(rt, 12, 9, { bias }), {
    ...{ r: 3, loraAlpha: 6, initLoraWeights: false },
    ...options,
  });
  return layer.eval();
}
