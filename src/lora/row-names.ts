/** A model's forward with options: `adapterNames` gives one adapter, or none, for each row of a batch. */
import type { Module } from '../nn/module.js';
import { checkOptions, describe } from '../runtime/errors.js';
import { showShape } from '../tensor/shape.js';
import { Tensor } from '../tensor/tensor.js';
import type { AdapterSet } from './adapter-set.js';
import type { Attachment } from './attachment.js';
import { AdapterError } from './errors.js';

/** Options of one `forward`, behind its tensors. */
export interface ForwardOptions {
  /** The adapter of each row of the batch (the first dimension); `'__base__'` for none. Evaluation mode only. */
  readonly adapterNames?: readonly string[];
}

/** @param lora - the LoraModel itself @throws TypeError, AdapterError */
export function forwardWith(
  attachment: Attachment,
  lora: Module,
  inputs: readonly (Tensor | ForwardOptions)[],
): Tensor {
  const { model, runtime } = attachment;
  const last = inputs.at(-1);
  if (last === undefined || last instanceof Tensor || typeof last !== 'object' || last === null)
    return runtime.attempt(() => model.forward(...(inputs as Tensor[])));
  checkOptions('LoraModel.forward', last, ['adapterNames']);
  const tensors = inputs.slice(0, -1) as Tensor[];
  const { adapterNames } = last;
  if (adapterNames === undefined) return runtime.attempt(() => model.forward(...tensors));
  const training = lora.namedModules().some(([, module]) => module.training);
  const { adapters, layers, merged } = attachment;
  const rows = checkRowNames(adapters, adapterNames, tensors[0], { merged, training });
  return adapters.withOriginals(() => {
    for (const layer of layers) layer.setRows(rows);
    try {
      return runtime.attempt(() => model.forward(...tensors));
    } finally {
      for (const layer of layers) layer.setRows(null);
    }
  });
}

/** @param first - the batch, rows first @throws TypeError, AdapterError */
function checkRowNames(
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
