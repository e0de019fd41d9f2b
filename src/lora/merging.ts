/** Merging adapters into the weights of a whole model and out again. What it means in one layer is `merge-state.ts`. */
import type { Module } from '../nn/module.js';
import { checkOptions } from '../runtime/errors.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Attachment } from './attachment.js';
import { AdapterError } from './errors.js';
import type { MergeOptions } from './factors.js';
import type { LoraLayer } from './layer.js';

/** @throws AdapterError; nothing is merged then */
export function mergeAdapters(
  attachment: Attachment,
  names?: readonly string[],
  options: MergeOptions = {},
): void {
  const where = 'LoraModel.merge';
  attachment.checkFree(where);
  checkOptions(where, options, ['safe']);
  const wanted = mergeable(where, attachment, names);
  const tied = attachment.tied();
  for (const layer of attachment.layers)
    layer.tied = tied.has(layer.base.weight) || layer.base.weight.holders > 1;
  const done: { layer: LoraLayer; here: string[] }[] = [];
  try {
    for (const layer of attachment.layers) {
      const here = wanted.filter((name) => layer.adapters.includes(name));
      if (here.length === 0) continue;
      layer.merge(here, options);
      done.push({ layer, here });
    }
  } catch (error) {
    for (const { layer, here } of done) layer.unmerge(here);
    throw error;
  }
}

/** The adapters to merge: `names`, or all active ones that are not merged yet. @throws AdapterError when one cannot be */
function mergeable(
  where: string,
  { adapters, merged }: Attachment,
  names: readonly string[] | undefined,
): readonly string[] {
  const wanted = names ?? adapters.active.filter((name) => !merged.includes(name));
  for (const name of wanted) {
    adapters.get(where, name);
    if (merged.includes(name))
      throw new AdapterError(`${where}: adapter '${name}' is merged already, expected one that is not`);
    if (!adapters.active.includes(name))
      throw new AdapterError(`${where}: adapter '${name}' is not active, expected setAdapter() first`);
  }
  if (wanted.length === 0) {
    const why = merged.length > 0 ? `${merged.join(', ')} are merged already` : 'no adapter is active';
    throw new AdapterError(`${where}: ${why}, expected at least one to merge`);
  }
  return wanted;
}

/** @throws AdapterError */
export function unmergeAdapters(attachment: Attachment, names?: readonly string[]): void {
  const where = 'LoraModel.unmerge';
  attachment.checkEnabled(where);
  const { merged } = attachment;
  if (merged.length === 0) throw new AdapterError(`${where}: nothing is merged, expected merge() before`);
  const wanted = names ?? merged;
  const stranger = wanted.find((name) => !merged.includes(name));
  if (stranger !== undefined)
    throw new AdapterError(
      `${where}: adapter '${stranger}' is not merged, expected some of ${merged.join(', ')}`,
    );
  for (const layer of attachment.layers) {
    const here = wanted.filter((name) => layer.mergedAdapters.includes(name));
    if (here.length > 0) layer.unmerge(here);
  }
}

/** @param lora - the LoraModel itself @returns max |merged - unmerged| over the output's elements @throws AdapterError */
export function mergeDifference(attachment: Attachment, lora: Module, inputs: readonly Tensor[]): number {
  const where = 'LoraModel.verifyMerge';
  attachment.checkAttached(where);
  if (attachment.adapters.active.length === 0)
    throw new AdapterError(`${where}: no adapter is active, expected at least one`);
  const { model, runtime, merged } = attachment;
  const modes = [model, ...lora.namedModules().map(([, module]) => module)].map((module) => ({
    ...{ module, training: module.training },
  }));
  const output = (): Float32Array =>
    runtime.scope(() => runtime.noGrad(() => model.forward(...inputs).toArray())) as Float32Array;
  lora.eval();
  try {
    if (merged.length > 0) unmergeAdapters(attachment);
    const apart = output();
    mergeAdapters(attachment);
    const together = output();
    unmergeAdapters(attachment);
    return apart.reduce((most, value, i) => Math.max(most, Math.abs(value - together[i]!)), 0);
  } finally {
    if (merged.length > 0) {
      if (attachment.merged.length > 0) unmergeAdapters(attachment);
      mergeAdapters(attachment, merged);
    }
    for (const { module, training } of modes) module.setMode(training);
  }
}

/** Merges what is active and not merged yet and gives the plain model back. @throws AdapterError */
export function mergeForGood<M extends Module>(attachment: Attachment<M>, options: MergeOptions): M {
  const where = 'LoraModel.mergeAndUnload';
  attachment.checkFree(where);
  const { adapters, merged } = attachment;
  if (adapters.active.some((name) => !merged.includes(name)) || merged.length === 0)
    mergeAdapters(attachment, undefined, options);
  return attachment.finish();
}

/** Takes out what is merged and gives the plain model back. @throws AdapterError */
export function unmergeForGood<M extends Module>(attachment: Attachment<M>): M {
  const where = 'LoraModel.unload';
  attachment.checkFree(where);
  if (attachment.merged.length > 0) unmergeAdapters(attachment);
  return attachment.detach();
}
