/** Values of a weight and a bias that a merge overwrites, outside of linear memory, to be put back bit for bit. Called by merge-layer.ts. */
import type { Parameter } from '../../tensor/parameter.js';
import { type Bytes, type Values, valuesOf } from './merge-sum.js';

/** Values that were overwritten; of the weight none where a stand-in leaves it untouched. */
export interface Kept {
  readonly weight: Bytes | null;
  readonly bias: Values | null;
}

/** Where they lie. */
export interface Targets {
  readonly target: Parameter;
  readonly biasTarget: Parameter | null;
}

/** Copies of what the layer computes with now; of a stand-in none, which is kept as it is. */
export function bytesNow({ weight, target, biasTarget }: Kept & Targets): Kept {
  return {
    weight: weight === null ? null : target.bytes(),
    bias: biasTarget === null ? null : valuesOf(biasTarget),
  };
}

/** Puts values back where they were: takes no memory. */
export function writeKept({ target, biasTarget }: Targets, { weight, bias }: Kept): void {
  if (weight !== null) target.writeBytes(weight);
  if (bias !== null) biasTarget?.set(bias);
}
