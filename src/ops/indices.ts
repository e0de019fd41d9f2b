/** Whole numbers that an operation is given beside its tensors: positions, first visible keys. Checked, and brought into memory. */

import { checkTensor } from '../tensor/check.js';
import type { Runtime } from '../tensor/runtime.js';
import { Tensor } from '../tensor/tensor.js';
import { describe } from '../values/checks.js';
import { typedArrayLength, typedArrayName } from '../values/kind.js';

/** Numbers of the host, or an int32 tensor. */
export type Indices = Int32Array | Tensor;

/**
 * The numbers as a tensor, a new one where the host's were given; null for none.
 * @param sizes - how many there may be
 * @param below - each is from 0 to less than this; a function gives the limit of each
 * @throws TypeError, RangeError, OutOfMemoryError
 */
export function indicesOf(
  what: string,
  rt: Runtime,
  given: Indices | undefined,
  sizes: readonly number[],
  below: number | ((i: number) => number),
): Tensor | null {
  if (given === undefined) return null;
  const [where, name] = what.split(': ') as [string, string];
  const tensor = given instanceof Tensor;
  if (tensor) checkTensor(where, name, given, { dtype: 'i32', runtime: rt });
  else if (typedArrayName(given) !== 'Int32Array')
    throw new TypeError(`${what} is ${describe(given)}, expected an Int32Array or an int32 tensor`);
  const count = tensor ? given.size : typedArrayLength(given);
  if (!sizes.includes(count))
    throw new RangeError(`${what} has ${count} elements, expected ${[...new Set(sizes)].join(' or ')}`);
  const values = tensor ? rt.engine.i32().subarray(given.pointer / 4, given.pointer / 4 + count) : given;
  for (let i = 0; i < count; i++) {
    const limit = typeof below === 'number' ? below : below(i);
    if (!(values[i]! >= 0 && values[i]! < limit))
      throw new RangeError(`${what}[${i}] is ${values[i]}, expected from 0 to ${limit - 1}`);
  }
  return tensor ? given : rt.tensor(given);
}
