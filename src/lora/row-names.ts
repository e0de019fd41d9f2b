/** The checks of `adapterNames`: one adapter, or none, for each row of a batch. */
import { describe } from '../runtime/errors.js';
import { showShape } from '../tensor/shape.js';
import { Tensor } from '../tensor/tensor.js';
import type { AdapterSet } from './adapter-set.js';
import { AdapterError } from './errors.js';

/** @param first - the batch, rows first @throws TypeError, AdapterError */
export function checkRowNames(
  adapters: AdapterSet,
  names: unknown,
  first: unknown,
  state: { readonly merged: readonly string[]; readonly training: boolean },
): readonly string[] {
  const where = 'LoraModel.forward: adapterNames';
  if (!Array.isArray(names))
    throw new TypeError(`${where} is ${describe(names)}, expected an array of names`);
  const rows = first instanceof Tensor ? first.shape[0] : undefined;
  if (names.length === 0 || names.length !== rows) {
    const shape = first instanceof Tensor ? showShape(first.shape) : describe(first);
    throw new AdapterError(`${where} has ${names.length} names, expected one for each row of ${shape}`);
  }
  for (const name of names) {
    if (name === '__base__') continue;
    const { copies } = adapters.get(where, name as string);
    if (copies.length > 0)
      throw new AdapterError(
        `${where}: '${name}' carries trained biases or saved modules, which rows cannot have; expected setAdapter()`,
      );
  }
  if (state.merged[0] !== undefined)
    throw new AdapterError(`${where} while adapter '${state.merged[0]}' is merged, expected unmerge() first`);
  if (state.training) throw new AdapterError(`${where} in training mode, expected eval() first`);
  return names as string[];
}
