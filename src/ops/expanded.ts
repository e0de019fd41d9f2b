/** Weights of 16 bits, and quantised ones, as float32, for what reads a weight otherwise than the products do: convolutions, norms, merging. */
import { type Elements, expandTo } from '../engine/matrices.js';
import type { Runtime } from '../tensor/runtime.js';
import type { Tensor } from '../tensor/tensor.js';
import { WEIGHT_DTYPES } from '../values/dtypes.js';

/** Elements of a weight from one on, as they lie; of a quantised one whole blocks. @throws TypeError for a tensor that is no weight */
export function elementsOf(weight: Tensor, from = 0, count = weight.size - from): Elements {
  const { pointer, dtype } = weight;
  if (dtype === 'i32') throw new TypeError(`elementsOf: weight is i32, expected ${WEIGHT_DTYPES.join(', ')}`);
  return { pointer, dtype, from, count };
}

/** out = elements of a weight as float32, each converted once. */
export function expandElements(rt: Runtime, elements: Elements, out: number): void {
  expandTo(rt.engine, elements, out);
}

/** Gives `use` the address of a whole weight as float32: its own where it is that, else that of a copy, gone afterwards. */
export function withExpanded(rt: Runtime, weight: Elements, use: (pointer: number) => void): void {
  if (weight.dtype === 'f32') {
    use(weight.pointer);
    return;
  }
  const copy = rt.empty([weight.count], 'f32');
  expandElements(rt, weight, copy.pointer);
  use(copy.pointer);
  copy.dispose();
}
