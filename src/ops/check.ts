/** What every operation checks of its tensors before it touches memory. */
import { describe } from '../runtime/errors.js';
import type { Runtime } from '../tensor/runtime.js';
import { type DType, sameShape, showShape } from '../tensor/shape.js';
import { Tensor } from '../tensor/tensor.js';

/** The runtime that all tensors share, each live and of the given dtype. @throws TypeError, Error */
export function checkTensors(
  where: string,
  tensors: Readonly<Record<string, Tensor>>,
  dtype: DType = 'f32',
): Runtime {
  let runtime: Runtime | null = null;
  for (const name in tensors) {
    const tensor = tensors[name]!;
    if (!(tensor instanceof Tensor))
      throw new TypeError(`${where}: ${name} is ${describe(tensor)}, expected a Tensor`);
    if (tensor.disposed)
      throw new Error(`${where}: ${name} ${showShape(tensor.shape)} was used after dispose()`);
    if (tensor.dtype !== dtype)
      throw new TypeError(`${where}: ${name} is ${tensor.dtype}, expected ${dtype}`);
    if (runtime !== null && tensor.runtime !== runtime) {
      throw new TypeError(
        `${where}: ${name} belongs to another runtime than the tensors before it, expected one runtime`,
      );
    }
    runtime = tensor.runtime;
  }
  if (runtime === null) throw new TypeError(`${where}: no tensors given`);
  return runtime;
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
