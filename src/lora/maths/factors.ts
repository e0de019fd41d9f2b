/** One adapter's parameters in one layer, and what a layer is told of the adapters it is to compute with. */
import type { OutputRange } from '../../ops/lora-terms.js';
import type { Parameter } from '../../tensor/parameter.js';
import type { Shape } from '../../values/shape.js';
import type { ResolvedLayerOptions } from '../config/layer-options.js';

/** Shapes of an adapter's parameters in a layer; null where it has none. */
export interface FactorShapes {
  readonly A: Shape;
  readonly B: Shape;
  readonly bias: Shape | null;
  readonly magnitude: Shape | null;
}

/** A base weight without what an initialisation took out of it. */
export interface ChangedBase {
  /** W - scaling·B₀·A₀, in place of the base weight while the adapter is active. Never trained. */
  readonly weight: Parameter;
  /** The factors as they were taken out. */
  readonly A0: Float32Array;
  readonly B0: Float32Array;
}

/** One adapter's parameters in one layer. */
export interface LoraFactors {
  /** Linear [r, in]; Embedding [r, rows]; Conv2d [r, in, kh, kw]. */
  readonly A: Parameter;
  /** Linear [out, r]; Embedding [dim, r]; Conv2d [out, r/groups, 1, 1]. */
  readonly B: Parameter;
  /** lora_B.bias, [out], or null. */
  readonly bias: Parameter | null;
  /** DoRA's magnitude of every output ([out]; Conv2d [1, out, 1, 1]), or null. */
  readonly magnitude: Parameter | null;
  readonly options: ResolvedLayerOptions;
  /** alpha/r, or alpha/√r. */
  readonly scaling: number;
  /** The user's multiplier of `scaling`, see `setScale`. */
  multiplier: number;
  /** Set by an initialisation that changes the base, else null. */
  changed: ChangedBase | null;
  /** The outputs that fused projections adapt; null for all. */
  readonly ranges: readonly OutputRange[] | null;
}

/** scaling·multiplier. */
export function strengthOf({ scaling, multiplier }: Pick<LoraFactors, 'scaling' | 'multiplier'>): number {
  return scaling * multiplier;
}
