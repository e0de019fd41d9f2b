/**
 * The hold that a LoraModel has on its model: the adapters, the LoRA layers in their places, what may be called, and the way
 * back to the model as it was. What is done with it stands beside it: `add-adapter.ts`, `switch.ts`, `row-names.ts`, merging/.
 */
import type { Module } from '../../nn/module.js';
import type { Parameter } from '../../tensor/parameter.js';
import type { Runtime } from '../../tensor/runtime.js';
import { AdapterError } from '../errors.js';
import { childrenOf } from '../layer/children.js';
import type { LoraLayer } from '../layer/lora-layer.js';
import { kindOf } from '../layer/wrap.js';
import { AdapterSet } from './adapter-set.js';
import { putOriginals } from './copies.js';
import { FrozenParameters } from './frozen.js';
import { CallGuard } from './guard.js';
import { LayerPlaces } from './places.js';
import { tiedParameters } from './tied.js';

export class Attachment<M extends Module = Module> {
  readonly model: M;
  readonly runtime: Runtime;
  readonly adapters = new AdapterSet();
  readonly places = new LayerPlaces();
  readonly guard = new CallGuard();
  readonly frozen: FrozenParameters;
  /** The adapter of each row of the batch inside `withAdapterNames`, null outside of it. */
  rowNames: readonly string[] | null = null;

  /** Freezes a plain model. @throws AdapterError when nothing in it can be adapted, TypeError when it lies in two runtimes; it is then unchanged */
  constructor(where: string, model: M) {
    const parameters = model.parameters();
    const adaptable = [...childrenOf(model).values()].some(({ module }) => kindOf(module) !== null);
    if (!adaptable || parameters[0] === undefined)
      throw new AdapterError(
        `${where}: the model has no Linear, Embedding or Conv2d, expected at least one to adapt`,
      );
    const { runtime } = parameters[0];
    const foreign = model.namedParameters().find(([, parameter]) => parameter.runtime !== runtime);
    if (foreign !== undefined)
      throw new TypeError(
        `${where}: '${foreign[0]}' belongs to another runtime than the parameters before it, expected one runtime`,
      );
    this.model = model;
    this.runtime = runtime;
    this.frozen = new FrozenParameters(parameters);
  }

  /** The LoRA layers, in the order in which they came. */
  get layers(): LoraLayer[] {
    return this.places.layers;
  }

  /** Names of the adapters that are merged in one layer at least. */
  get merged(): string[] {
    return [...new Set(this.layers.flatMap((layer) => layer.mergedAdapters))];
  }

  /** Parameters of the plain model that several modules hold, with their names. */
  tied(): Map<Parameter, string[]> {
    return tiedParameters(this.model, this.adapters.originals());
  }

  /** Tells every layer whether others hold its weight: such a weight is not merged into. */
  markTied(): void {
    const meant = this.adapters.originals();
    const tied = tiedParameters(this.model, meant);
    for (const { base, merging } of this.layers) {
      const weight = meant(base.weight);
      merging.tied = tied.has(weight) || weight.holders > 1;
    }
  }

  /** Runs `fn` over the base as it is without any adapter. */
  withBaseAlone<T>(fn: () => T): T {
    // Merged bytes leave while the biases that they were merged into are still in place.
    return this.#inEveryLayer(baseAlone, () => this.adapters.withOriginals(fn));
  }

  /** Runs `fn` with nothing merged; the adapters take part as ever. */
  withoutMerged<T>(fn: () => T): T {
    return this.#inEveryLayer(({ merging }, inner) => merging.withoutMerged(inner), fn);
  }

  #inEveryLayer<T>(around: (layer: LoraLayer, inner: () => T) => T, fn: () => T): T {
    let run = fn;
    for (const layer of this.layers) {
      const inner = run;
      run = () => around(layer, inner);
    }
    return run();
  }

  /** Gives the plain model back, unfrozen as it was. */
  detach(moduleFor: (layer: LoraLayer) => Module = ({ base }) => base): M {
    putOriginals(this.adapters.activeCopies());
    this.places.clear(moduleFor);
    this.adapters.clear();
    this.frozen.thaw(this.model);
    this.guard.release();
    return this.model;
  }

  dispose(): void {
    putOriginals(this.adapters.activeCopies());
    for (const layer of this.layers) layer.dispose();
    for (const { block } of this.adapters.all) block.dispose();
    this.model.dispose();
  }
}

/** Runs `fn` with one layer's adapters off, and merged ones out of the weight and back after. */
function baseAlone<T>(layer: LoraLayer, fn: () => T): T {
  const { enabled } = layer;
  return layer.merging.withoutMerged(() => {
    layer.enabled = false;
    try {
      return fn();
    } finally {
      layer.enabled = enabled;
    }
  });
}
