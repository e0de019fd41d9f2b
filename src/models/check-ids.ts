/** Token ids as others give them. `generate` and `meanLoss` check by it. */
import { describe } from '../values/checks.js';

/**
 * A copy of the ids.
 * @param limit - what each is below
 * @throws TypeError, RangeError
 */
export function checkIds(
  where: string,
  ids: ArrayLike<number> | Iterable<number>,
  limit: number,
): Int32Array<ArrayBuffer> {
  if (typeof ids !== 'object' || ids === null)
    throw new TypeError(`${where} is ${describe(ids)}, expected token ids`);
  const values: unknown[] = Array.from(ids);
  const own = new Int32Array(values.length);
  for (const [i, id] of values.entries()) {
    if (typeof id !== 'number')
      throw new TypeError(`${where}: id ${i} is ${describe(id)}, expected a number`);
    if (!Number.isInteger(id) || id < 0 || id >= limit)
      throw new RangeError(`${where}: id ${i} is ${id}, expected 0 to ${limit - 1}`);
    own[i] = id;
  }
  return own;
}
