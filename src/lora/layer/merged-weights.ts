/** What a merge into quantised weights is said to have kept: asked of the layers once they are merged, before that is final. */
import { elementsOf } from '../../ops/expanded.js';
import type { Parameter } from '../../tensor/parameter.js';
import type { LoraLayer } from './lora-layer.js';
import type { MergeStep } from './merge-layer.js';
import type { MergedWeight, MergeOptions } from './merge-options.js';

/** Of the layers, with their paths, those whose quantised weight is merged into. */
export function mergedWeights(layers: Iterable<readonly [path: string, layer: LoraLayer]>): MergedWeight[] {
  return [...layers].flatMap(([path, { merging, weight }]) => mergedWeight(path, weight, merging.survived));
}

/** What is said of one weight; nothing where it is not quantised. */
export function mergedWeight(path: string, weight: Parameter, survived: number | null): MergedWeight[] {
  return survived === null ? [] : [{ path, dtype: elementsOf(weight).dtype, survived }];
}

/** Tells the caller of a step that was made, which is undone where that throws. */
export function announced(
  step: MergeStep,
  { onMerged }: MergeOptions,
  weights: () => readonly MergedWeight[],
): MergeStep {
  if (onMerged === undefined) return step;
  try {
    onMerged(weights());
  } catch (error) {
    step.undo();
    throw error;
  }
  return step;
}
