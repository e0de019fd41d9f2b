/** The plain model given back: with its adapters merged for good (`mergeAndUnload`), or without them (`unload`). */
import { dotted, type Module } from '../../nn/module.js';
import type { Attachment } from '../attached/attachment.js';
import { type OwnCopy, putOriginals } from '../attached/copies.js';
import { AdapterError } from '../errors.js';
import { type IntoBase, intoBase } from '../layer/into-base.js';
import type { LoraLayer } from '../layer/lora-layer.js';
import type { Finish } from '../layer/merge-layer.js';
import { checkMergeOptions, type MergeOptions } from '../layer/merge-options.js';
import { valuesOf } from '../layer/merge-sum.js';
import { mergedWeight } from '../layer/merged-weights.js';
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
    return finish(where, attachment, options, () => step.done());
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

/** An adapter's own copy of a parameter, on its way into the base. */
interface Move {
  readonly copy: OwnCopy;
  /** Whether other modules hold the parameter too. */
  readonly shared: boolean;
  readonly into: IntoBase;
}

/**
 * Gives the plain model back with what is active and merged in it for good, unfrozen as it was.
 * @param committed - called once nothing can fail any more
 * @throws AdapterError, OutOfMemoryError, and what `onMerged` throws; nothing has changed then
 */
function finish<M extends Module>(
  where: string,
  attachment: Attachment<M>,
  options: MergeOptions,
  committed: () => void,
): M {
  const { adapters, places, frozen } = attachment;
  const quantised = options.quantised ?? null;
  const ready: { path: string; layer: LoraLayer; finish: Finish }[] = [];
  const moves: Move[] = [];
  const tied = attachment.tied();
  try {
    for (const copy of adapters.activeCopies()) {
      const { original, own } = copy;
      // What other modules hold too stays theirs as it is.
      const shared = tied.has(original) || original.holders > 1;
      const into = intoBase(nameOf(where, copy), original, valuesOf(own), shared, quantised);
      moves.push({ copy, shared, into });
    }
    for (const [path, layer] of places.entries)
      ready.push({ path, layer, finish: layer.merging.finish(`${where}: ${path}`, layer.weight, quantised) });
    options.onMerged?.([
      ...ready.flatMap(({ path, finish: { weight, survived } }) => mergedWeight(path, weight, survived)),
      ...moves.flatMap(({ copy, into }) => mergedWeight(nameOf(null, copy), into.parameter, into.survived)),
    ]);
  } catch (error) {
    for (const one of ready) one.finish.cancel();
    for (const { into } of moves) into.cancel();
    throw error;
  }
  committed();
  // Trained biases and saved modules move into the base's own parameters.
  for (const { into } of moves) into.commit();
  putOriginals(moves.map(({ copy }) => copy));
  for (const { copy, into } of moves) if (into.replaces) frozen.replaced(copy.original, into.parameter);
  const finished = new Map<LoraLayer, Module>();
  for (const { layer, finish } of ready) {
    const before = layer.base.weight;
    const module = finish.commit();
    frozen.replaced(before, module.weight);
    finished.set(layer, module);
  }
  const model = attachment.detach((layer) => finished.get(layer) ?? layer.base);
  // The originals were put back for the last time.
  for (const { copy, shared, into } of moves) {
    if (!into.replaces) continue;
    copy.slot.set(into.parameter);
    if (!shared) copy.original.block.dispose();
  }
  return model;
}

/** The dotted name of the parameter that a copy is of. */
function nameOf(where: string | null, { path, slot }: OwnCopy): string {
  const name = dotted(path, slot.name);
  return where === null ? name : `${where}: ${name}`;
}
