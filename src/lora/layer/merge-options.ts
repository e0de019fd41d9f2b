/** What `merge` and `mergeAndUnload` take, and what they say of a merge into quantised weights. */
import { checkBoolean, checkOptions, describe } from '../../values/checks.js';
import type { WeightDType } from '../../values/dtypes.js';

/**
 * How a delta goes into a quantised weight: `'dequantise'` gives the layer a float32 weight in its place, `'requantise'` (q8_0
 * and q4_0) rounds the sum to blocks again, where a delta that is small beside their steps is lost.
 */
export type QuantisedMerge = 'dequantise' | 'requantise';

/** One quantised weight that was merged into. */
export interface MergedWeight {
  /** Dotted name of the layer, or of the saved parameter; '' for a layer alone. */
  readonly path: string;
  /** Type of the merged weight. */
  readonly dtype: WeightDType;
  /** The share of the delta Δ that the merged weight W' has of it, ⟨W' - W, Δ⟩ / ⟨Δ, Δ⟩: 1 for all, 0 for nothing. */
  readonly survived: number;
}

/** Options of `merge`. */
export interface MergeOptions {
  /** Refuse a merged weight with NaN or infinity, leaving the layer as it was. Default false. */
  readonly safe?: boolean;
  /** What becomes of a quantised weight. Default: it is refused. */
  readonly quantised?: QuantisedMerge;
  /** Told of every quantised weight before the merge is final: what it throws leaves everything as it was. */
  readonly onMerged?: (weights: readonly MergedWeight[]) => void;
}

/** @throws TypeError */
export function checkMergeOptions(where: string, options: MergeOptions): void {
  checkOptions(where, options, ['safe', 'quantised', 'onMerged']);
  const { safe = false, quantised = 'dequantise', onMerged } = options;
  checkBoolean(`${where}: safe`, safe);
  if (quantised !== 'dequantise' && quantised !== 'requantise')
    throw new TypeError(
      `${where}: quantised is ${describe(quantised)}, expected 'dequantise' or 'requantise'`,
    );
  if (onMerged !== undefined && typeof onMerged !== 'function')
    throw new TypeError(`${where}: onMerged is ${describe(onMerged)}, expected a function`);
}
