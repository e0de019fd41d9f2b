/** The LoRA layers in a model, with the places that they took: layers go in and out here alone. */
import type { Child, Module } from '../../nn/module.js';
import { describe } from '../../values/checks.js';
import { AdapterError } from '../errors.js';
import type { LoraLayer } from '../layer/lora-layer.js';
import type { PlannedLayer } from './plan.js';

interface Wrapped {
  readonly layer: LoraLayer;
  readonly child: Child;
}

export class LayerPlaces {
  readonly #wrapped = new Map<string, Wrapped>();

  /** The LoRA layers, in the order in which they came. */
  get layers(): LoraLayer[] {
    return [...this.#wrapped.values()].map(({ layer }) => layer);
  }

  /** The same with their dotted names. */
  get entries(): [path: string, layer: LoraLayer][] {
    return [...this.#wrapped].map(([path, { layer }]) => [path, layer]);
  }

  /** Their dotted names. */
  get paths(): string[] {
    return [...this.#wrapped.keys()];
  }

  has(path: string): boolean {
    return this.#wrapped.has(path);
  }

  /** The LoRA layer of this name. @throws AdapterError naming those there are */
  get(where: string, name: unknown): LoraLayer {
    const found = typeof name === 'string' ? this.#wrapped.get(name) : undefined;
    if (found === undefined)
      throw new AdapterError(
        `${where}: there is no LoRA layer ${describe(name)}, expected one of ${this.paths.join(', ') || 'none'}`,
      );
    return found.layer;
  }

  /** Puts new layers into the model. @throws AdapterError where a place cannot change; none is in then */
  putIn(where: string, fresh: readonly PlannedLayer[], training: boolean): void {
    try {
      for (const { path, layer, child } of fresh) {
        layer.train(training);
        child.replace(layer);
        this.#wrapped.set(path, { layer, child });
      }
    } catch (cause) {
      const placed = fresh.filter(({ path }) => this.#wrapped.has(path));
      this.takeOut(placed);
      const refused = fresh[placed.length];
      try {
        refused?.child.replace(refused.layer.base);
      } catch {
        // A layer that stands in several places: those before the one that cannot change are put back.
      }
      throw new AdapterError(
        `${where}: '${refused?.path}' stands where nothing can be put (${cause instanceof Error ? cause.message : String(cause)}), expected properties, arrays and objects that are not frozen`,
      );
    }
  }

  /** Puts the plain layers back in the places of these. */
  takeOut(placed: readonly PlannedLayer[]): void {
    for (const { path, layer, child } of placed) {
      child.replace(layer.base);
      this.#wrapped.delete(path);
    }
  }

  /** Puts a plain layer back in every place. */
  clear(moduleFor: (layer: LoraLayer) => Module): void {
    for (const { layer, child } of this.#wrapped.values()) child.replace(moduleFor(layer));
    this.#wrapped.clear();
  }
}
