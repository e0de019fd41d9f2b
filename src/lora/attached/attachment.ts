/**
 * The hold that a LoraModel has on its model: the adapters, the LoRA layers with the places they took, and the way back to
 * the model as it was. Layers go in and out here alone.
 */
import type { Child, Module } from '../../nn/module.js';
import type { Parameter } from '../../tensor/parameter.js';
import { type Runtime, refusePromise } from '../../tensor/runtime.js';
import { checkNumber, describe } from '../../values/checks.js';
import type { Shape } from '../../values/shape.js';
import type { ResolvedConfig } from '../config/config.js';
import { AdapterError } from '../errors.js';
import { childrenOf } from '../layer/children.js';
import { isAdaptable } from '../layer/kinds.js';
import type { LoraLayer } from '../layer/lora-layer.js';
import type { AdapterTensor } from '../layer/tensors.js';
import { checkInitial, initialise } from '../maths/initialise.js';
import type { Finish } from '../merging/merge-layer.js';
import { Adapter, expectedTensors, layoutOf } from './adapter.js';
import { AdapterSet } from './adapter-set.js';
import { putOriginals } from './copies.js';
import { type AdapterPlan, type PlannedLayer, planAdapter } from './plan.js';
import { tiedParameters } from './tied.js';

interface Wrapped {
  readonly layer: LoraLayer;
  readonly child: Child;
}

/** What a loaded adapter comes from, as far as adding it asks. */
export interface AdapterFile {
  /** Whether what matches nothing is an error. */
  readonly strict: boolean;
  /** The initialisation to run before the file's values go in. @throws AdapterError for one that cannot be run again */
  initOf(plan: AdapterPlan): boolean | string;
  /**
   * Holds the adapter's tensors against the file's.
   * @param model - its base alone, which what else the file holds is compared with
   * @throws AdapterError when they do not fit
   */
  compare(tensors: readonly AdapterTensor<Shape>[], model: Module): void;
  /** Whether the file has all of the layer at `path`, after `compare`: nothing is drawn for it then. */
  fills(path: string): boolean;
}

/** An adapter that was added, and the way to take it and the layers made for it out again. */
export interface Added {
  readonly adapter: Adapter;
  undo(): void;
}

export class Attachment<M extends Module = Module> {
  readonly model: M;
  readonly runtime: Runtime;
  readonly adapters = new AdapterSet();
  readonly #wrapped = new Map<string, Wrapped>();
  /** What each parameter was before the model was frozen. */
  readonly #trained = new Map<Parameter, boolean>();
  /** The adapter of each row of the batch inside `withAdapterNames`, null outside of it. */
  rowNames: readonly string[] | null = null;
  #attached = true;
  /** The call that runs a user's function now, which may not change the adapters meanwhile; null outside of any. */
  #inside: 'withAdaptersDisabled' | 'withAdapterNames' | null = null;

  /** Freezes a plain model. @throws AdapterError when nothing in it can be adapted, TypeError when it lies in two runtimes; it is then unchanged */
  constructor(where: string, model: M) {
    const parameters = model.parameters();
    const adaptable = [...childrenOf(model).values()].some(({ module }) => isAdaptable(module));
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
    for (const parameter of parameters) {
      this.#trained.set(parameter, parameter.requiresGrad);
      parameter.requiresGrad = false;
    }
  }

  /** The LoRA layers, in the order in which they came. */
  get layers(): LoraLayer[] {
    return [...this.#wrapped.values()].map(({ layer }) => layer);
  }

  /** Their dotted names. */
  get paths(): string[] {
    return [...this.#wrapped.keys()];
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
    for (const layer of this.layers) {
      const weight = meant(layer.base.weight);
      layer.tied = tied.has(weight) || weight.holders > 1;
    }
  }

  /** @throws AdapterError once the model was given back */
  checkAttached(where: string): void {
    if (!this.#attached)
      throw new AdapterError(`${where}: the model was unloaded, expected an attached LoraModel`);
  }

  /** The LoRA layer of this name. @throws AdapterError naming those there are */
  layer(where: string, name: unknown): LoraLayer {
    const found = typeof name === 'string' ? this.#wrapped.get(name) : undefined;
    if (found === undefined)
      throw new AdapterError(
        `${where}: there is no LoRA layer ${describe(name)}, expected one of ${this.paths.join(', ') || 'none'}`,
      );
    return found.layer;
  }

  /** @throws AdapterError inside `withAdaptersDisabled` and `withAdapterNames` */
  checkEnabled(where: string): void {
    if (this.#inside !== null)
      throw new AdapterError(`${where}: called inside ${this.#inside}, expected a call outside of it`);
  }

  /** Both. @throws AdapterError */
  checkFree(where: string): void {
    this.checkAttached(where);
    this.checkEnabled(where);
  }

  /**
   * Makes an adapter and wraps the layers that it needs. All that can be refused is refused before memory is taken or
   * anything computed.
   * @param file - what a loaded adapter comes from
   * @throws AdapterError; the model is then unchanged
   */
  add(where: string, name: string, config: ResolvedConfig, file: AdapterFile | null = null): Added {
    this.checkAttached(where);
    this.adapters.checkNewName(where, name);
    const { engine } = this.runtime;
    const before = engine.layers;
    // Copies of biases, PiSSA's factors and DoRA's magnitudes come from the base, whatever is merged now.
    const adapter = this.withBaseAlone(() =>
      this.runtime.construct(() => {
        const options = { strict: file?.strict ?? true, loaded: file !== null };
        const plan = planAdapter(where, this.model, config, options);
        const layout = layoutOf(where, this.model, config, plan);
        const init = file === null ? config.initLoraWeights : file.initOf(plan);
        for (const { path, layer, options } of plan.layers)
          checkInitial(`${where}: ${path}`, layer, options, init);
        file?.compare(expectedTensors(name, plan, layout), this.model);
        const made = new Adapter(this.runtime, name, config, plan, layout);
        try {
          for (const { path, layer } of plan.layers)
            if (init !== true || file?.fills(path) !== true)
              initialise(`${where}: ${path}`, layer, name, layer.base.weight, init);
        } catch (error) {
          made.dispose();
          throw error;
        }
        return made;
      }),
    );
    const fresh = adapter.plan.layers.filter(({ path }) => !this.#wrapped.has(path));
    this.#putIn(where, adapter, fresh);
    this.adapters.add(adapter);
    this.markTied();
    const after = engine.layers;
    const undo = (): void => {
      if (engine.layers === after) engine.layers = before;
      this.adapters.remove(adapter);
      for (const { path, layer, child } of fresh) {
        child.replace(layer.base);
        this.#wrapped.delete(path);
      }
    };
    return { adapter, undo };
  }

  /** Puts the layers that an adapter needs into the model. @throws AdapterError where a place cannot change; the adapter is gone then */
  #putIn(where: string, adapter: Adapter, fresh: readonly PlannedLayer[]): void {
    try {
      for (const { path, layer, child } of fresh) {
        layer.train(this.model.training);
        child.replace(layer);
        this.#wrapped.set(path, { layer, child });
      }
    } catch (cause) {
      const placed = fresh.filter(({ path }) => this.#wrapped.has(path));
      for (const { path, layer, child } of placed) {
        child.replace(layer.base);
        this.#wrapped.delete(path);
      }
      const refused = fresh[placed.length];
      try {
        refused?.child.replace(refused.layer.base);
      } catch {
        // A layer that stands in several places: those before the one that cannot change are put back.
      }
      adapter.dispose();
      throw new AdapterError(
        `${where}: '${refused?.path}' stands where nothing can be put (${cause instanceof Error ? cause.message : String(cause)}), expected properties, arrays and objects that are not frozen`,
      );
    }
  }

  /** Makes exactly these adapters active. @throws AdapterError; nothing has changed then */
  activate(where: string, names: readonly string[]): void {
    this.checkEnabled(where);
    this.adapters.activate(where, names, this.merged);
    for (const layer of this.layers) layer.setActive(names.filter((name) => layer.adapters.includes(name)));
  }

  /** @throws TypeError, RangeError, AdapterError */
  setScale(where: string, name: string, multiplier: number): void {
    const { plan } = this.adapters.get(where, name);
    checkNumber(`${where}: multiplier`, multiplier, -Number.MAX_VALUE, Number.MAX_VALUE);
    this.#checkNotMerged(where, name);
    for (const { layer } of plan.layers) layer.setScale(name, multiplier);
  }

  /** @throws AdapterError */
  delete(where: string, name: string): void {
    const adapter = this.adapters.get(where, name);
    this.checkEnabled(where);
    this.#checkNotMerged(where, name);
    if (this.adapters.active.includes(name)) this.adapters.checkChange(where, adapter, this.merged);
    this.adapters.remove(adapter);
  }

  /** Runs `fn` over the base as it is without any adapter. */
  withBaseAlone<T>(fn: () => T): T {
    // Merged bytes leave while the biases that they were merged into are still in place.
    return this.#inEveryLayer(
      (layer, inner) => layer.withBaseAlone(inner),
      () => this.adapters.withOriginals(fn),
    );
  }

  /** Runs `fn` with nothing merged; the adapters take part as ever. */
  withoutMerged<T>(fn: () => T): T {
    return this.#inEveryLayer((layer, inner) => layer.withoutMerged(inner), fn);
  }

  #inEveryLayer<T>(around: (layer: LoraLayer, inner: () => T) => T, fn: () => T): T {
    let run = fn;
    for (const layer of this.layers) {
      const inner = run;
      run = () => around(layer, inner);
    }
    return run();
  }

  /** The same for a user's function. @throws TypeError; AdapterError inside `withAdapterNames` */
  withAdaptersDisabled<T>(where: string, fn: () => T): T {
    if (this.#inside === 'withAdapterNames') this.checkEnabled(where);
    return this.runInside('withAdaptersDisabled', where, fn, (inner) => this.withBaseAlone(inner));
  }

  /** Runs a user's function, which may not change the adapters meanwhile. @throws TypeError when it is none, or gives a promise */
  runInside<T>(
    call: 'withAdaptersDisabled' | 'withAdapterNames',
    where: string,
    fn: () => T,
    around: (fn: () => T) => T,
  ): T {
    if (typeof fn !== 'function') throw new TypeError(`${where}: got ${describe(fn)}, expected a function`);
    const before = this.#inside;
    this.#inside = call;
    let result: T;
    try {
      result = around(fn);
    } finally {
      this.#inside = before;
    }
    refusePromise(where, result);
    return result;
  }

  /**
   * Gives the plain model back with what is active and merged in it for good, unfrozen as it was.
   * @param committed - called once nothing can fail any more
   * @throws OutOfMemoryError; nothing has changed then
   */
  finish(committed: () => void): M {
    const copies = this.adapters.activeCopies();
    const values = copies.map(({ own }) => own.toArray());
    const ready = new Map<LoraLayer, Finish>();
    try {
      for (const layer of this.layers) ready.set(layer, layer.finish());
    } catch (error) {
      for (const { cancel } of ready.values()) cancel();
      throw error;
    }
    committed();
    // Trained biases and saved modules move into the base's own parameters.
    for (const [i, { original }] of copies.entries()) original.set(values[i]!);
    putOriginals(copies);
    const finished = new Map<LoraLayer, Module>();
    for (const [layer, { commit }] of ready) {
      const trained = this.#trained.get(layer.base.weight) ?? true;
      const module = commit();
      this.#trained.set(module.weight, trained);
      finished.set(layer, module);
    }
    return this.detach((layer) => finished.get(layer) ?? layer.base);
  }

  /** Gives the plain model back, unfrozen as it was. */
  detach(moduleFor: (layer: LoraLayer) => Module = ({ base }) => base): M {
    putOriginals(this.adapters.activeCopies());
    for (const { layer, child } of this.#wrapped.values()) child.replace(moduleFor(layer));
    this.adapters.clear();
    for (const parameter of this.model.parameters()) parameter.requiresGrad = parameter.dtype === 'f32';
    for (const [parameter, requiresGrad] of this.#trained) parameter.requiresGrad = requiresGrad;
    this.#wrapped.clear();
    this.#attached = false;
    return this.model;
  }

  dispose(): void {
    putOriginals(this.adapters.activeCopies());
    for (const layer of this.layers) layer.dispose();
    for (const { block } of this.adapters.all) block.dispose();
    this.model.dispose();
  }

  #checkNotMerged(where: string, name: string): void {
    if (this.merged.includes(name))
      throw new AdapterError(`${where}: adapter '${name}' is merged, expected unmerge() first`);
  }
}
