/**
 * A layer with the adapters on it by name: their parameters there, and which of them take part. What forward, merging and the
 * initialisations compute with; `LoraLayer` holds one.
 */
import type { Parameter } from '../../tensor/parameter.js';
import type { Runtime } from '../../tensor/runtime.js';
import { describe } from '../../values/checks.js';
import { scalingOf } from '../config/layer-options.js';
import { AdapterError } from '../errors.js';
import type { BaseLayer, LayerAdaptation } from '../kinds/adaptation.js';
import type { LoraFactors } from '../maths/factors.js';

/** An adapter's parameters as they come to a layer; what belongs to its use there starts anew. */
export type NewFactors = Omit<LoraFactors, 'scaling' | 'multiplier' | 'changed'>;

export class LayerState<Base extends BaseLayer = BaseLayer> {
  readonly base: Base;
  /** How the base's class is adapted. */
  readonly adaptation: LayerAdaptation<Base>;
  readonly runtime: Runtime;
  readonly #factors = new Map<string, LoraFactors>();
  /** Names of the adapters that take part, in their order. */
  active: readonly string[] = [];

  constructor(base: Base, adaptation: LayerAdaptation<Base>) {
    this.base = base;
    this.adaptation = adaptation;
    this.runtime = base.weight.runtime;
  }

  get names(): string[] {
    return [...this.#factors.keys()];
  }

  get all(): Iterable<[string, LoraFactors]> {
    return this.#factors;
  }

  get bias(): Parameter | null {
    return this.base.bias ?? null;
  }

  /** The weight that adapters are merged into: what an active adapter's initialisation left, or the base's. */
  get unmergedWeight(): Parameter {
    for (const name of this.active) {
      const changed = this.#factors.get(name)?.changed ?? null;
      // At most one active adapter has such a base.
      if (changed !== null) return changed.weight;
    }
    return this.base.weight;
  }

  has(name: string): boolean {
    return this.#factors.has(name);
  }

  /** @param what - the member that was called, for the message @throws AdapterError naming the adapters there are */
  get(name: string, what: string): LoraFactors {
    const factors = this.#factors.get(name);
    if (factors === undefined)
      throw new AdapterError(
        `${this.adaptation.title}.${what}: there is no adapter ${describe(name)}, expected one of ${this.#list()}`,
      );
    return factors;
  }

  /** @param what - the member that was called without a name @throws AdapterError */
  firstActive(what: string): string {
    const name = this.active[0];
    if (name === undefined)
      throw new AdapterError(
        `${this.adaptation.title}.${what}: no adapter is active, expected a name; there are ${this.#list()}`,
      );
    return name;
  }

  add(name: string, parameters: NewFactors): void {
    const scaling = scalingOf(parameters.options);
    this.#factors.set(name, { ...parameters, scaling, multiplier: 1, changed: null });
  }

  remove(name: string): void {
    this.#factors.get(name)?.changed?.weight.block.dispose();
    this.#factors.delete(name);
    this.active = this.active.filter((active) => active !== name);
  }

  /** Gives the memory of every adapter back. */
  dispose(): void {
    for (const { A, B, changed } of this.#factors.values()) {
      changed?.weight.block.dispose();
      A.block.dispose();
      B.block.dispose();
    }
  }

  #list(): string {
    return this.names.join(', ') || 'none';
  }
}
