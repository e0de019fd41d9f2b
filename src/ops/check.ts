/** What every operation checks of its tensors before it touches memory. */

import { checkTensor } from '../tensor/check.js';
import type { Runtime } from '../tensor/runtime.js';
import type { Tensor } from '../tensor/tensor.js';
import { WEIGHT_DTYPES, type WeightDType } from '../values/dtypes.js';
import { type DType, sameShape, showShape } from '../values/shape.js';

/** The runtime that all tensors share, each live and of the given dtype. @throws TypeError, Error */
export function checkTensors(
  where: string,
  tensors: Readonly<Record<string, Tensor>>,
  dtype: DType = 'f32',
): Runtime {
  let first: Tensor | undefined;
  for (const name in tensors) {
    const expected = first === undefined ? { dtype } : { dtype, runtime: first.runtime };
    first = checkTensor(where, name, tensors[name], expected);
  }
  if (first === undefined) throw new TypeError(`${where}: no tensors given`);
  return first.runtime;
}

/** @throws RangeError unless the shapes are equal */
export function checkSameShape(where: string, aName: string, a: Tensor, bName: string, b: Tensor): void {
  if (!sameShape(a.shape, b.shape)) {
    throw new RangeError(
      `${where}: ${bName} is ${showShape(b.shape)}, expected ${showShape(a.shape)} as ${aName}`,
    );
  }
}

/** Rows and columns of a tensor seen as a matrix over its last dimension. @throws RangeError for a scalar */
export function asRows(where: string, name: string, x: Tensor): { rows: number; cols: number } {
  const cols = x.shape.at(-1);
  if (cols === undefined) throw new RangeError(`${where}: ${name} is [], expected at least one dimension`);
  let rows = 1;
  for (let i = 0; i < x.shape.length - 1; i++) rows *= x.shape[i]!;
  return { rows, cols };
}

/** The type of a product's weight: one that the kernels read. @throws TypeError, Error */
export function checkWeight(where: string, weight: Tensor, runtime: Runtime, name = 'weight'): WeightDType {
  const { dtype } = checkTensor(where, name, weight, { runtime });
  if (dtype === 'i32') throw new TypeError(`${where}: ${name} is i32, expected ${WEIGHT_DTYPES.join(', ')}`);
  return dtype;
}
