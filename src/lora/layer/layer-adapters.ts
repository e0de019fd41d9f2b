/** The adapters on one layer by name: their parameters there, and which of them take part. */
import { describe } from '../../values/checks.js';
import { scalingOf } from '../config/layer-options.js';
import { AdapterError } from '../errors.js';
import type { ChangedBase, LoraFactors } from '../maths/factors.js';

/** An adapter's parameters as they come to a layer; what belongs to its use there starts anew. */
export type NewFactors = Omit<LoraFactors, 'scaling' | 'multiplier' | 'changed'>;

export class LayerAdapters {
  readonly #owner: string;
  readonly #factors = new Map<string, LoraFactors>();
  #active: readonly string[] = [];

  /** @param owner - the layer's class, for errors */
  constructor(owner: string) {
    this.#owner = owner;
  }

  get names(): string[] {
    return [...this.#factors.keys()];
  }

  get active(): readonly string[] {
    return this.#active;
  }

  set active(names: readonly string[]) {
    this.#active = names;
  }

  get all(): Iterable<[string, LoraFactors]> {
    return this.#factors;
  }

  /** Undefined where the layer has no such adapter. */
  find(name: string): LoraFactors | undefined {
    return this.#factors.get(name);
  }

  /** @param what - the member that was called, for the message @throws AdapterError naming the adapters there are */
  get(name: string, what: string): LoraFactors {
    const factors = this.#factors.get(name);
    if (factors === undefined)
      throw new AdapterError(
        `${this.#owner}.${what}: there is no adapter ${describe(name)}, expected one of ${this.#list()}`,
      );
    return factors;
  }

  /** @param what - the member that was called without a name @throws AdapterError */
  firstActive(what: string): string {
    const name = this.#active[0];
    if (name === undefined)
      throw new AdapterError(
        `${this.#owner}.${what}: no adapter is active, expected a name; there are ${this.#list()}`,
      );
    return name;
  }

  /** The base that an active adapter's initialisation left it; at most one has such a base. */
  get changed(): ChangedBase | null {
    return (
      this.#active
        .map((name) => this.#factors.get(name)?.changed ?? null)
        .find((changed) => changed !== null) ?? null
    );
  }

  add(name: string, parameters: NewFactors): void {
    const scaling = scalingOf(parameters.options);
    this.#factors.set(name, { ...parameters, scaling, multiplier: 1, changed: null });
  }

  remove(name: string): void {
    this.#factors.get(name)?.changed?.weight.block.dispose();
    this.#factors.delete(name);
    this.#active = this.#active.filter((active) => active !== name);
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
