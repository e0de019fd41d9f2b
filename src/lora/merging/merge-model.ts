/** Merging adapters into the weights of a whole model and out again. What it means in one layer is `layer/merge-layer.ts`. */
import type { Attachment } from '../attached/attachment.js';
import { namesGiven } from '../config/names.js';
import { AdapterError } from '../errors.js';
import type { LoraLayer } from '../layer/lora-layer.js';
import type { MergeStep } from '../layer/merge-layer.js';
import { checkMergeOptions, type MergeOptions } from '../layer/merge-options.js';
import { announced, mergedWeights } from '../layer/merged-weights.js';

/** @throws AdapterError, OutOfMemoryError; nothing is merged then */
export function mergeAdapters(
  attachment: Attachment,
  names?: readonly string[],
  options: MergeOptions = {},
): void {
  const where = 'LoraModel.merge';
  attachment.guard.checkFree(where);
  checkMergeOptions(where, options);
  const step = mergeInTurn(attachment, where, mergeable(where, attachment, names), options);
  announced(step, options, () => mergedWeights(attachment.places.entries)).done();
}

/** The adapters of a layer that take part there and are not merged there yet; none where the layer is off. */
function missing(layer: LoraLayer, names: readonly string[]): string[] {
  if (!layer.enabled) return [];
  return names.filter((name) => layer.adapters.includes(name) && !layer.mergedAdapters.includes(name));
}

/** The adapters to merge: `names`, or all active ones that are not merged everywhere yet. @throws AdapterError when one cannot be */
function mergeable(
  where: string,
  { adapters, layers, merged }: Attachment,
  names: readonly string[] | undefined,
): readonly string[] {
  const open = (name: string): boolean => layers.some((layer) => missing(layer, [name]).length > 0);
  const wanted = names === undefined ? adapters.active.filter(open) : namesGiven(where, names);
  for (const [i, name] of wanted.entries()) {
    adapters.get(where, name);
    if (wanted.indexOf(name) !== i)
      throw new AdapterError(`${where}: adapter '${name}' is named twice, expected each once`);
    if (!open(name) && merged.includes(name))
      throw new AdapterError(`${where}: adapter '${name}' is merged already, expected one that is not`);
    if (!adapters.active.includes(name))
      throw new AdapterError(`${where}: adapter '${name}' is not active, expected setAdapter() first`);
    if (!open(name))
      throw new AdapterError(
        `${where}: adapter '${name}' has no layer that is enabled, expected one at least`,
      );
  }
  if (wanted.length === 0) {
    const why =
      merged.length > 0
        ? `${merged.join(', ')} are merged already`
        : adapters.active.length > 0
          ? `no layer of ${adapters.active.join(', ')} is enabled`
          : 'no adapter is active';
    throw new AdapterError(`${where}: ${why}, expected at least one to merge`);
  }
  return wanted;
}

/** Merges layer by layer; what was done is undone where one fails. @throws AdapterError, OutOfMemoryError */
export function mergeInTurn(
  attachment: Attachment,
  where: string,
  names: readonly string[],
  options: MergeOptions,
): MergeStep {
  attachment.markTied();
  const { layers, paths } = attachment.places;
  return inTurn(layers, (layer, i) => {
    const here = missing(layer, names);
    return here.length === 0 ? null : layer.merging.merge(`${where}: ${paths[i]}`, here, options);
  });
}

/** Steps over layers as one: all of them, or none. */
function inTurn(
  layers: readonly LoraLayer[],
  step: (layer: LoraLayer, i: number) => MergeStep | null,
): MergeStep {
  const steps: MergeStep[] = [];
  const undo = (): void => {
    for (const made of steps.reverse()) made.undo();
  };
  try {
    for (const [i, layer] of layers.entries()) {
      const made = step(layer, i);
      if (made !== null) steps.push(made);
    }
  } catch (error) {
    undo();
    throw error;
  }
  return {
    undo,
    done: () => {
      for (const made of steps) made.done();
    },
  };
}

/** @throws AdapterError, OutOfMemoryError; nothing has changed then */
export function unmergeAdapters(attachment: Attachment, names?: readonly string[]): void {
  const where = 'LoraModel.unmerge';
  attachment.guard.checkEnabled(where);
  const { merged } = attachment;
  if (merged.length === 0) throw new AdapterError(`${where}: nothing is merged, expected merge() before`);
  const wanted = names === undefined ? merged : namesGiven(where, names);
  const stranger = wanted.find((name) => !merged.includes(name));
  if (stranger !== undefined)
    throw new AdapterError(
      `${where}: adapter '${stranger}' is not merged, expected some of ${merged.join(', ')}`,
    );
  const touched = attachment.layers
    .filter(({ mergedAdapters }) => mergedAdapters.some((name) => wanted.includes(name)))
    .map((layer) => ({ layer, rest: layer.mergedAdapters.filter((name) => !wanted.includes(name)) }));
  // Merging the rest anew takes memory and may fail; putting kept bytes back takes none and comes last.
  const partly = new Map(
    touched.filter(({ rest }) => rest.length > 0).map(({ layer, rest }) => [layer, rest]),
  );
  inTurn([...partly.keys()], (layer) => layer.merging.keepOnly(where, partly.get(layer)!)).done();
  for (const { layer, rest } of touched) if (rest.length === 0) layer.unmerge();
}
