/**
 * LoraModel: named adapters over one frozen model. LoRA layers stand in the places of the targeted ones; the parameters
 * keep their names. An adapter's values lie in one block; switching moves names and references.
 */

import { type Child, Module } from '../nn/module.js';
import { checkOptions, describe } from '../runtime/errors.js';
import type { Parameter, ParameterGroup } from '../tensor/parameter.js';
import { type Runtime, refusePromise } from '../tensor/runtime.js';
import { Tensor } from '../tensor/tensor.js';
import { Adapter } from './adapter.js';
import { AdapterSet, checkAdapterName } from './adapter-set.js';
import { addCombined, type WeightedOptions } from './add-weighted.js';
import { type LoraConfig, type ResolvedConfig, resolveConfig } from './config.js';
import { putOriginals } from './copies.js';
import { AdapterError } from './errors.js';
import { type AdapterFiles, type ExportOptions, exportFiles } from './export.js';
import type { MergeOptions } from './factors.js';
import { type GroupOptions, parameterGroups } from './groups.js';
import { initialise } from './initialise.js';
import { isAdaptable } from './kinds.js';
import { LoraLayer } from './layer.js';
import { type AdapterSource, type LoadOptions, type LoadReport, readSource } from './persistence.js';
import { childrenOf, planAdapter } from './plan.js';
import { type LoraReport, reportOf } from './report.js';
import { checkRowNames } from './row-names.js';
import { type ParameterSummary, summarize } from './summary.js';
import { tiedParameters } from './tied.js';

/** Options of one `forward`, behind its tensors. */
export interface ForwardOptions {
  /** The adapter of each row of the batch (the first dimension); `'__base__'` for none. Evaluation mode only. */
  readonly adapterNames?: readonly string[];
}

interface Wrapped {
  readonly layer: LoraLayer;
  readonly child: Child;
}

/** @typeParam M - class of the wrapped model */
export class LoraModel<M extends Module = Module> extends Module {
  /** The model, with LoRA layers in place. */
  readonly model: M;
  readonly #runtime: Runtime;
  readonly #wrapped = new Map<string, Wrapped>();
  readonly #adapters = new AdapterSet();
  readonly #frozen = new Map<Parameter, boolean>();
  #attached = true;
  #disabled = 0;

  private constructor(model: M, runtime: Runtime) {
    super();
    this.model = model;
    this.#runtime = runtime;
  }

  /**
   * Freezes a model, wraps the layers that `config.targetModules` selects, and adds and activates one adapter. Without a
   * config the model is only frozen: `addAdapter` and `loadAdapter` add to it.
   * @param model - changed in place: targeted layers are replaced in their parents
   * @param config - PEFT's options by their camelCase names
   * @param name - the adapter's name, default `'default'`
   * @throws TypeError, RangeError, AdapterError when a target matches nothing; the model is then unchanged
   * @example
   * const lora = LoraModel.attach(model, { r: 8, loraAlpha: 16, targetModules: ['fc1', 'fc2'] });
   */
  static attach<M extends Module>(model: M, config?: LoraConfig, name = 'default'): LoraModel<M> {
    const where = 'LoraModel.attach';
    if (!(model instanceof Module))
      throw new TypeError(`${where}: model is ${describe(model)}, expected a Module`);
    if (
      model instanceof LoraModel ||
      model.namedModules().some(([, module]) => module instanceof LoraLayer)
    ) {
      throw new AdapterError(
        `${where}: the model has LoRA layers already, expected a plain model; use addAdapter`,
      );
    }
    const resolved = config === undefined ? null : resolveConfig(where, config);
    checkAdapterName(where, name);
    const parameters = model.parameters();
    const first = [...childrenOf(model).values()].find(({ module }) => isAdaptable(module));
    if (first === undefined || parameters[0] === undefined)
      throw new AdapterError(
        `${where}: the model has no Linear, Embedding or Conv2d, expected at least one to adapt`,
      );
    const lora = new LoraModel(model, parameters[0].runtime);
    lora.setMode(model.training);
    for (const parameter of parameters) {
      lora.#frozen.set(parameter, parameter.requiresGrad);
      parameter.requiresGrad = false;
    }
    if (resolved === null) return lora;
    try {
      lora.#add(where, name, resolved);
    } catch (error) {
      lora.#detach();
      throw error;
    }
    lora.setAdapter(name);
    return lora;
  }

  /** Names of all adapters. */
  get adapters(): string[] {
    return this.#adapters.names;
  }

  /** Names of the active adapters. */
  get activeAdapters(): string[] {
    return [...this.#adapters.active];
  }

  /** Names of the merged adapters. */
  get mergedAdapters(): string[] {
    const names = new Set<string>();
    for (const { layer } of this.#wrapped.values()) for (const name of layer.mergedAdapters) names.add(name);
    return [...names];
  }

  /** Whether any adapter is merged. */
  get merged(): boolean {
    return this.mergedAdapters.length > 0;
  }

  /**
   * The model's output with the active adapters, or each row of the batch with its own.
   * @param inputs - the model's tensors; behind them, options of this one call
   * @throws AdapterError for `adapterNames` of another length than the batch, an unknown name, in training mode, or while something is merged
   * @example
   * lora.eval().forward(x, { adapterNames: ['french', '__base__', 'german'] });
   */
  override forward(...inputs: (Tensor | ForwardOptions)[]): Tensor {
    const last = inputs.at(-1);
    if (last === undefined || last instanceof Tensor || typeof last !== 'object' || last === null)
      return this.model.forward(...(inputs as Tensor[]));
    checkOptions('LoraModel.forward', last, ['adapterNames']);
    const tensors = inputs.slice(0, -1) as Tensor[];
    const { adapterNames } = last;
    if (adapterNames === undefined) return this.model.forward(...tensors);
    const training = this.namedModules().some(([, module]) => module.training);
    const state = { merged: this.mergedAdapters, training };
    const rows = checkRowNames(this.#adapters, adapterNames, tensors[0], state);
    return this.#adapters.withOriginals(() => {
      for (const { layer } of this.#wrapped.values()) layer.setRows(rows);
      try {
        return this.model.forward(...tensors);
      } finally {
        for (const { layer } of this.#wrapped.values()) layer.setRows(null);
      }
    });
  }

  override children(): Iterable<Child> {
    return this.model.children();
  }

  override ownParameters(): Iterable<[string, Parameter]> {
    return this.model.ownParameters();
  }

  /** Switches the tree, the wrapped model itself with it, to training mode (or out of it). */
  override train(mode = true): this {
    super.train(mode);
    this.model.setMode(mode);
    return this;
  }

  /** Every parameter: the model's under their own names, the adapters' beside them, their copies of biases and saved modules last. */
  override namedParameters(): [string, Parameter][] {
    const named = this.#adapters.withOriginals(() => super.namedParameters());
    for (const { name, copies } of this.#adapters.all) {
      for (const { path, slot, kind, own } of copies) {
        const place = kind === 'saved' ? `modules_to_save.${name}` : `trained.${name}`;
        named.push([`${path === '' ? '' : `${path}.`}${place}.${slot.name}`, own]);
      }
    }
    return named;
  }

  /** The parameters that `backward()` gives gradients: what an optimiser takes. */
  trainableParameters(): Parameter[] {
    return this.parameters().filter((parameter) => parameter.requiresGrad);
  }

  /**
   * The trainable parameters in groups for an optimiser: LoRA+ (arXiv 2402.12354) gives B a learning rate of its own, and
   * biases, magnitudes and norms can be left out of weight decay.
   * @example
   * const optimizer = new AdamW(lora.parameterGroups({ lr: 1e-4, loraPlusLrRatio: 16 }));
   */
  parameterGroups(options: GroupOptions): ParameterGroup[] {
    return parameterGroups(
      'LoraModel.parameterGroups',
      this.namedParameters().filter(([, { requiresGrad }]) => requiresGrad),
      options,
    );
  }

  /** Trainable and all parameters and their share, in PEFT's words. */
  summary(): ParameterSummary {
    return summarize(this.parameters());
  }

  /** What is wrapped, loaded, trainable, merged, at which scale, and what matched nothing; `toString()` gives lines of text. */
  report(): LoraReport {
    const tied = this.#adapters.withOriginals(() => tiedParameters(this.model));
    return reportOf(this.#adapters.all, this.#adapters.active, [...this.#wrapped.keys()], [...tied.values()]);
  }

  /**
   * Adds an adapter with fresh weights; it is trainable, and not active before `setAdapter`.
   * @throws TypeError, RangeError; AdapterError when the name is taken or a target matches nothing
   */
  addAdapter(name: string, config: LoraConfig): void {
    this.#checkAttached('LoraModel.addAdapter');
    this.#add('LoraModel.addAdapter', name, resolveConfig('LoraModel.addAdapter', config));
  }

  /**
   * A new adapter made of others, of scaling 1: `cat` is the exact weighted sum of their deltas. It is frozen and not active.
   * @param names - adapters of plain LoRA
   * @param weights - a number for each, negative ones too
   * @returns the new adapter's name
   * @throws TypeError, RangeError, AdapterError
   * @example
   * lora.addWeightedAdapter(['french', 'polite'], [1, -0.5], { name: 'blunt' });
   */
  addWeightedAdapter(
    names: readonly string[],
    weights: readonly number[],
    options: WeightedOptions = {},
  ): string {
    const where = 'LoraModel.addWeightedAdapter';
    this.#checkAttached(where);
    if (!Array.isArray(names))
      throw new TypeError(`${where}: names is ${describe(names)}, expected an array`);
    const parts = names.map((name) => this.#adapters.get(where, name));
    return addCombined(where, this.#runtime, parts, weights, options, (name, config) => {
      this.#add(where, name, config);
      const adapter = this.#adapters.get(where, name);
      adapter.trainable = false;
      return { adapter, undo: () => this.deleteAdapter(name) };
    });
  }

  /**
   * Makes exactly these adapters active; nothing is copied and nothing else changes.
   * @throws AdapterError when there is no such adapter, when two of them cannot be active together, or when a merged one would become inactive
   */
  setAdapter(names: string | readonly string[]): void {
    const where = 'LoraModel.setAdapter';
    this.#checkEnabled(where);
    const wanted = typeof names === 'string' ? [names] : [...names];
    this.#adapters.activate(where, wanted, this.mergedAdapters);
    for (const { layer } of this.#wrapped.values())
      layer.setActive(wanted.filter((name) => layer.adapters.includes(name)));
  }

  /**
   * Multiplies an adapter's scaling everywhere from now on: 0 gives the base bit for bit, 1 is the start. DoRA's magnitude,
   * trained biases and saved modules are not scaled. Files do not hold it: `exportAdapter` writes the adapter at 1.
   * @throws TypeError, RangeError; AdapterError when it is merged or unknown
   */
  setScale(name: string, multiplier: number): void {
    const { plan } = this.#adapters.get('LoraModel.setScale', name);
    if (this.mergedAdapters.includes(name))
      throw new AdapterError(`LoraModel.setScale: adapter '${name}' is merged, expected unmerge() first`);
    for (const { layer } of plan.layers) layer.setScale(name, multiplier);
  }

  /** Removes an adapter and gives its memory back; if it was active, it no longer is. @throws AdapterError when it is merged or unknown */
  deleteAdapter(name: string): void {
    const adapter = this.#adapters.get('LoraModel.deleteAdapter', name);
    this.#checkEnabled('LoraModel.deleteAdapter');
    if (this.mergedAdapters.includes(name)) {
      throw new AdapterError(
        `LoraModel.deleteAdapter: adapter '${name}' is merged, expected unmerge() first`,
      );
    }
    this.#adapters.remove(adapter);
  }

  /** Changes which adapters train: exactly these. @throws AdapterError when there is no such adapter */
  setTrainable(names: string | readonly string[]): void {
    const wanted = typeof names === 'string' ? [names] : [...names];
    for (const name of wanted) this.#adapters.get('LoraModel.setTrainable', name);
    for (const adapter of this.#adapters.all) adapter.trainable = wanted.includes(adapter.name);
  }

  /**
   * Runs a synchronous function over the base alone: bit for bit the plain model, also while adapters are merged, and
   * as it was again after an exception.
   * @throws TypeError when `fn` returns a promise; AdapterError when it switches, deletes, merges or unloads adapters
   */
  withAdaptersDisabled<T>(fn: () => T): T {
    if (typeof fn !== 'function')
      throw new TypeError(`LoraModel.withAdaptersDisabled: got ${describe(fn)}, expected a function`);
    this.#disabled++;
    let result: T;
    try {
      result = this.#withBaseAlone(fn);
    } finally {
      this.#disabled--;
    }
    refusePromise('LoraModel.withAdaptersDisabled', result);
    return result;
  }

  /**
   * Adds adapters (all active ones that are not merged yet, by default) into the base weights; `unmerge` takes them out again.
   * @throws AdapterError when one is merged already or not active, or `safe` finds NaN or infinity; nothing is merged then
   */
  merge(names?: readonly string[], options: MergeOptions = {}): void {
    const where = 'LoraModel.merge';
    this.#checkAttached(where);
    this.#checkEnabled(where);
    checkOptions(where, options, ['safe']);
    const merged = this.mergedAdapters;
    const wanted = names ?? this.#adapters.active.filter((name) => !merged.includes(name));
    for (const name of wanted) {
      this.#adapters.get(where, name);
      if (merged.includes(name))
        throw new AdapterError(`${where}: adapter '${name}' is merged already, expected one that is not`);
      if (!this.#adapters.active.includes(name))
        throw new AdapterError(`${where}: adapter '${name}' is not active, expected setAdapter() first`);
    }
    if (wanted.length === 0) {
      const why = merged.length > 0 ? `${merged.join(', ')} are merged already` : 'no adapter is active';
      throw new AdapterError(`${where}: ${why}, expected at least one to merge`);
    }
    const tied = this.#adapters.withOriginals(() => tiedParameters(this.model));
    for (const { layer } of this.#wrapped.values())
      layer.tied = tied.has(layer.base.weight) || layer.base.weight.holders > 1;
    const done: { layer: LoraLayer; here: string[] }[] = [];
    try {
      for (const { layer } of this.#wrapped.values()) {
        const here = wanted.filter((name) => layer.adapters.includes(name));
        if (here.length === 0) continue;
        layer.merge(here, options);
        done.push({ layer, here });
      }
    } catch (error) {
      for (const { layer, here } of done) layer.unmerge(here);
      throw error;
    }
  }

  /** Takes adapters (all merged ones by default) out of the weights again: the kept bytes, with the others merged anew. @throws AdapterError */
  unmerge(names?: readonly string[]): void {
    this.#checkEnabled('LoraModel.unmerge');
    const merged = this.mergedAdapters;
    if (merged.length === 0)
      throw new AdapterError('LoraModel.unmerge: nothing is merged, expected merge() before');
    const wanted = names ?? merged;
    const stranger = wanted.find((name) => !merged.includes(name));
    if (stranger !== undefined)
      throw new AdapterError(
        `LoraModel.unmerge: adapter '${stranger}' is not merged, expected some of ${merged.join(', ')}`,
      );
    for (const { layer } of this.#wrapped.values()) {
      const here = wanted.filter((name) => layer.mergedAdapters.includes(name));
      if (here.length > 0) layer.unmerge(here);
    }
  }

  /**
   * The largest difference that merging the active adapters makes to the model's output, before anything is dropped: the
   * two forwards are compared in evaluation mode, and everything is as it was again.
   * @returns max |merged - unmerged| over the output's elements
   * @throws AdapterError when no adapter is active
   */
  verifyMerge(...inputs: Tensor[]): number {
    const where = 'LoraModel.verifyMerge';
    this.#checkAttached(where);
    if (this.#adapters.active.length === 0)
      throw new AdapterError(`${where}: no adapter is active, expected at least one`);
    const merged = this.mergedAdapters;
    const modules = [this.model, ...this.namedModules().map(([, module]) => module)];
    const training = modules.map((module) => module.training);
    const output = (): Float32Array =>
      this.#runtime.scope(() =>
        this.#runtime.noGrad(() => this.model.forward(...inputs).toArray()),
      ) as Float32Array;
    this.eval();
    try {
      if (merged.length > 0) this.unmerge();
      const apart = output();
      this.merge();
      const together = output();
      this.unmerge();
      return apart.reduce((most, value, i) => Math.max(most, Math.abs(value - together[i]!)), 0);
    } finally {
      if (merged.length > 0) {
        if (this.merged) this.unmerge();
        this.merge(merged);
      }
      for (const [i, module] of modules.entries()) module.setMode(training[i]!);
    }
  }

  /** Merges the active adapters for good and gives the plain model back, unfrozen as it was; the LoraModel is spent. */
  mergeAndUnload(options: MergeOptions = {}): M {
    this.#checkAttached('LoraModel.mergeAndUnload');
    this.#checkEnabled('LoraModel.mergeAndUnload');
    const merged = this.mergedAdapters;
    if (this.#adapters.active.some((name) => !merged.includes(name)) || merged.length === 0)
      this.merge(undefined, options);
    // Trained biases and saved modules move into the base's own parameters.
    for (const { original, own } of this.#adapters.activeCopies()) original.set(own.toArray());
    putOriginals(this.#adapters.activeCopies());
    const finished = new Map<string, Module>();
    for (const [path, { layer }] of this.#wrapped) {
      const trained = this.#frozen.get(layer.base.weight) ?? true;
      const module = layer.finish();
      this.#frozen.set(module.weight, trained);
      finished.set(path, module);
    }
    return this.#detach(finished);
  }

  /** Takes the adapters away and gives the plain model back, unfrozen as it was; the LoraModel is spent. */
  unload(): M {
    this.#checkAttached('LoraModel.unload');
    this.#checkEnabled('LoraModel.unload');
    if (this.merged) this.unmerge();
    return this.#detach();
  }

  /** An adapter as PEFT's two files, as bytes. @throws AdapterError, FormatError when a weight is not finite */
  exportAdapter(name = this.#adapters.active[0] ?? 'default', options: ExportOptions = {}): AdapterFiles {
    checkOptions('LoraModel.exportAdapter', options, ['convert', 'allowNonFinite']);
    const { config, layers, copies } = this.#adapters.get('LoraModel.exportAdapter', name);
    const turned = layers.some(
      ({ path }) => (this.#wrapped.get(path)!.layer as { fanInFanOut?: boolean }).fanInFanOut,
    );
    return exportFiles({ ...config, fanInFanOut: turned }, layers, copies, options);
  }

  /**
   * Loads an adapter that PEFT or `exportAdapter` wrote under a new name. It is not activated.
   * @param source - both files' contents, or the folder (URL; in Node also a path) that holds them
   * @returns what did not fit, empty lists in strict mode
   * @throws AdapterError, FormatError; the model is then unchanged
   */
  async loadAdapter(name: string, source: AdapterSource, options: LoadOptions = {}): Promise<LoadReport> {
    const where = 'LoraModel.loadAdapter';
    this.#checkAttached(where);
    this.#adapters.checkNewName(where, name);
    const file = await readSource(where, source, options);
    this.#checkAttached(where);
    const wrapped = this.#add(where, name, file.config, file.strict, file.init);
    const adapter = this.#adapters.get(where, name);
    try {
      const report = file.apply(adapter.tensors());
      adapter.trainable = file.trainable;
      return { ...report, unmatched: adapter.plan.unmatched, warnings: file.warnings };
    } catch (error) {
      this.deleteAdapter(name);
      for (const path of wrapped) {
        const { layer, child } = this.#wrapped.get(path)!;
        child.replace(layer.base);
        this.#wrapped.delete(path);
      }
      throw error;
    }
  }

  override dispose(): void {
    putOriginals(this.#adapters.activeCopies());
    for (const { layer } of this.#wrapped.values()) layer.dispose();
    for (const { block } of this.#adapters.all) block.dispose();
    this.model.dispose();
  }

  /** @returns the paths that were not wrapped before */
  #add(
    where: string,
    name: string,
    config: ResolvedConfig,
    strict = true,
    init: boolean | string = config.initLoraWeights,
  ): string[] {
    this.#adapters.checkNewName(where, name);
    // Copies of biases, PiSSA's factors and DoRA's magnitudes come from the base, whatever is merged now.
    const adapter = this.#withBaseAlone(() => {
      const plan = planAdapter(where, this.model, config, strict);
      const made = new Adapter(where, this.#runtime, this.model, name, config, plan);
      try {
        for (const { path, layer } of plan.layers)
          initialise(`${where}: ${path}`, layer, name, layer.base.weight, init);
      } catch (error) {
        made.dispose();
        throw error;
      }
      return made;
    });
    const fresh = adapter.plan.layers.filter(({ path }) => !this.#wrapped.has(path));
    for (const { path, layer, child } of fresh) {
      layer.train(this.training);
      child.replace(layer);
      this.#wrapped.set(path, { layer, child });
    }
    this.#adapters.add(adapter);
    return fresh.map(({ path }) => path);
  }

  #detach(finished?: ReadonlyMap<string, Module>): M {
    putOriginals(this.#adapters.activeCopies());
    for (const [path, { layer, child }] of this.#wrapped) child.replace(finished?.get(path) ?? layer.base);
    this.#adapters.clear();
    for (const [, parameter] of this.model.namedParameters()) parameter.requiresGrad = true;
    for (const [parameter, requiresGrad] of this.#frozen) parameter.requiresGrad = requiresGrad;
    this.#wrapped.clear();
    this.#attached = false;
    return this.model;
  }

  /** Runs `fn` over the base as it is without any adapter. */
  #withBaseAlone<T>(fn: () => T): T {
    // Merged bytes leave while the biases that they were merged into are still in place.
    let run = (): T => this.#adapters.withOriginals(fn);
    for (const { layer } of this.#wrapped.values()) {
      const inner = run;
      run = () => layer.withBaseAlone(inner);
    }
    return run();
  }

  #checkEnabled(where: string): void {
    if (this.#disabled > 0)
      throw new AdapterError(`${where}: called inside withAdaptersDisabled, expected a call outside of it`);
  }

  #checkAttached(where: string): void {
    if (!this.#attached)
      throw new AdapterError(`${where}: the model was unloaded, expected an attached LoraModel`);
  }
}
