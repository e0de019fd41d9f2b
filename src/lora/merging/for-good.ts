/** The plain model given back: with its adapters merged for good (`mergeAndUnload`), or without them (`unload`). */
import type { Module } from '../../nn/module.js';
import type { Attachment } from '../attached/attachment.js';
import { putOriginals } from '../attached/copies.js';
import { AdapterError } from '../errors.js';
import type { LoraLayer } from '../layer/lora-layer.js';
import type { Finish } from '../layer/merge-layer.js';
import { checkNumbers } from '../layer/merge-sum.js';
import { checkMergeOptions, type MergeOptions } from '../maths/factors.js';
import { mergeInTurn, unmergeAdapters } from './merge-model.js';

/** Merges what takes part and is not merged yet, layer by layer, and gives the plain model back. @throws AdapterError, OutOfMemoryError; nothing has changed then */
export function mergeForGood<M extends Module>(attachment: Attachment<M>, options: MergeOptions): M {
  const where = 'LoraModel.mergeAndUnload';
  attachment.guard.checkFree(where);
  checkMergeOptions(where, options);
  const { adapters, merged } = attachment;
  if (adapters.active.length === 0 && merged.length === 0)
    throw new AdapterError(`${where}: no adapter is active, expected at least one to merge`);
  const step = mergeInTurn(attachment, where, adapters.active, options);
  try {
    // What undoing would need is let go of at the end of it.
    return finish(where, attachment, () => step.done());
  } catch (error) {
    step.undo();
    throw error;
  }
}

/** Takes out what is merged and gives the plain model back. Takes no memory. @throws AdapterError */
export function unmergeForGood<M extends Module>(attachment: Attachment<M>): M {
  const where = 'LoraModel.unload';
  attachment.guard.checkFree(where);
  if (attachment.merged.length > 0) unmergeAdapters(attachment);
  return attachment.detach();
}

/**
 * Gives the plain model back with what is active and merged in it for good, unfrozen as it was.
 * @param committed - called once nothing can fail any more
 * @throws AdapterError, OutOfMemoryError; nothing has changed then
 */
function finish<M extends Module>(where: string, attachment: Attachment<M>, committed: () => void): M {
  const { adapters, frozen } = attachment;
  const copies = adapters.activeCopies();
  for (const { key, original } of copies) checkNumbers(where, key, original);
  const values = copies.map(({ own }) => own.toArray());
  const ready = new Map<LoraLayer, Finish>();
  try {
    const { layers: placed, paths } = attachment.places;
    for (const [i, layer] of placed.entries())
      ready.set(layer, layer.merging.finish(`${where}: ${paths[i]}`, layer.weight));
  } catch (error) {
    for (const { cancel } of ready.values()) cancel();
    throw error;
  }
  committed();
  // Trained biases and saved modules move into the base's own parameters.
  for (const [i, { original }] of copies.entries()) original.set(values[i]!);
  putOriginals(copies);
  const finished = new Map<LoraLayer, Module>();
  for (const [layer, { commit }] of ready) {
    const before = layer.base.weight;
    const module = commit();
    frozen.replaced(before, module.weight);
    finished.set(layer, module);
  }
  return attachment.detach((layer) => finished.get(layer) ?? layer.base);
}
