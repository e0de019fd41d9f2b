/** Whole numbers that an operation is given beside its tensors: positions, first visible keys. Checked, and brought into memory. */

import { checkTensor } from '../tensor/check.js';
import type { Runtime } from '../tensor/runtime.js';
import { Tensor } from '../tensor/tensor.js';
import { describe } from '../values/checks.js';
import { typedArrayLength, typedArrayName } from '../values/kind.js';

/** Numbers of the host, or an int32 tensor. */
export type Indices = Int32Array | Tensor;

/**
 * The numbers as the host reads them. Those of a tensor lie in memory: valid until the next allocation.
 * @throws TypeError
 */
export function numbersOf(where: string, name: string, rt: Runtime, given: unknown): Int32Array {
  if (given instanceof Tensor) {
    checkTensor(where, name, given, { dtype: 'i32', runtime: rt });
    return rt.engine.i32().subarray(given.pointer / 4, given.pointer / 4 + given.size);
  }
  if (typedArrayName(given) !== 'Int32Array')
    throw new TypeError(`${where}: ${name} is ${describe(given)}, expected an Int32Array or an int32 tensor`);
  return given as Int32Array;
}

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
  const values = numbersOf(where, name, rt, given);
  const count = typedArrayLength(values);
  if (!sizes.includes(count))
    throw new RangeError(`${what} has ${count} elements, expected ${[...new Set(sizes)].join(' or ')}`);
  for (let i = 0; i < count; i++) {
    const limit = typeof below === 'number' ? below : below(i);
    if (!(values[i]! >= 0 && values[i]! < limit))
      throw new RangeError(`${what}[${i}] is ${values[i]}, expected from 0 to ${limit - 1}`);
  }
  return given instanceof Tensor ? given : rt.tensor(given);
}
