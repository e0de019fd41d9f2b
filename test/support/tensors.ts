/** Tensors that stay and want a gradient, and what a backward left in them. */
import type { Runtime, Tensor } from '../../src/index.js';

/** Normal numbers. */
export function leaf(rt: Runtime, shape: readonly number[], std = 1): Tensor {
  const tensor = rt.normal(shape, std).keep();
  tensor.requiresGrad = true;
  return tensor;
}

/** A row of these numbers. */
export function leafOf(rt: Runtime, values: readonly number[]): Tensor {
  return rt.tensor(values, [values.length], { requiresGrad: true }).keep();
}

export type Gradients = (Float32Array | Int32Array | null)[];

/** A copy of each gradient, null where there is none. */
export function gradientsOf(leaves: readonly Tensor[]): Gradients {
  return leaves.map(({ grad }) => grad?.toArray() ?? null);
}

/** Takes the gradients away, and gives their memory back. */
export function forget(leaves: readonly Tensor[]): void {
  for (const one of leaves) {
    one.grad?.dispose();
    one.grad = null;
  }
}
