/**
 * DoRA's norms, kept from one forward to the next for as long as nothing that they are computed from has changed: the weight,
 * which is read whole for them, the adapter's factors and its strength. Each layer's forward has one.
 */
import type { Parameter } from '../../tensor/parameter.js';
import type { Tensor } from '../../tensor/tensor.js';
import { type LoraFactors, strengthOf } from '../maths/factors.js';

/** What norms are of: storages with the versions of their content, and numbers. */
type Source = readonly (object | number)[];

interface Kept {
  readonly of: Source;
  readonly values: Float32Array<ArrayBuffer>;
}

export class KeptNorms {
  /** By adapter: what is kept goes with it. */
  readonly #kept = new WeakMap<LoraFactors, Kept>();

  /** Fills `norms` with what was kept for the adapter, or by `compute`, whose result is kept. */
  fill(norms: Tensor, factors: LoraFactors, weight: Parameter, compute: () => void): void {
    const of = sourceOf(factors, weight);
    const kept = this.#kept.get(factors);
    if (kept?.of.every((part, i) => part === of[i])) {
      norms.set(kept.values);
      return;
    }
    compute();
    this.#kept.set(factors, { of, values: norms.copyTo(new Float32Array(norms.size)) });
  }
}

function sourceOf(factors: LoraFactors, weight: Parameter): Source {
  const parts = [weight, factors.A, factors.B].flatMap(({ storage }) => [storage, storage.version]);
  return [...parts, strengthOf(factors)];
}
