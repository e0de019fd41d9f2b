/**
 * LoraModel: named adapters over one frozen model. `attach` puts LoraLinear layers in the places of the targeted Linear
 * layers; the parameters keep their names. An adapter's values lie in one block.
 */

import { Linear } from '../nn/linear.js';
import { type Child, Module } from '../nn/module.js';
import { describe } from '../runtime/errors.js';
import { type Parameter, ParameterBlock } from '../tensor/parameter.js';
import { type Runtime, refusePromise } from '../tensor/runtime.js';
import type { Tensor } from '../tensor/tensor.js';
import {
  checkAdapterName,
  type LoraConfig,
  layerOptionsOf,
  type ResolvedConfig,
  resolveConfig,
} from './config.js';
import { AdapterError } from './errors.js';
import { LoraLinear, type MergeOptions } from './lora-linear.js';
import {
  type AdapterFiles,
  type AdapterSource,
  exportFiles,
  type LoadOptions,
  type LoadReport,
  readSource,
} from './persistence.js';
import { type ParameterSummary, summarize } from './summary.js';
import { checkPatternKeys, selectTargets } from './targets.js';

interface Adapter {
  readonly config: ResolvedConfig;
  readonly block: ParameterBlock;
  /** Dotted names of the layers it is on. */
  readonly paths: readonly string[];
}

interface Wrapped {
  readonly layer: LoraLinear;
  readonly child: Child;
}

/** @typeParam M - class of the wrapped model */
export class LoraModel<M extends Module = Module> extends Module {
  /** The model, with LoRA layers in place. */
  readonly model: M;
  readonly #runtime: Runtime;
  readonly #wrapped = new Map<string, Wrapped>();
  readonly #adapters = new Map<string, Adapter>();
  readonly #frozen = new Map<Parameter, boolean>();
  #active: readonly string[] = [];
  #attached = true;

  private constructor(model: M, runtime: Runtime) {
    super();
    this.model = model;
    this.#runtime = runtime;
  }

  /**
   * Freezes a model, wraps the layers that `config.targetModules` selects, and adds and activates one adapter.
   * @param model - changed in place: targeted layers are replaced in their parents
   * @param config - PEFT's options by their camelCase names
   * @param name - the adapter's name, default `'default'`
   * @throws TypeError, RangeError, AdapterError when a target matches nothing; the model is then unchanged
   * @example
   * const lora = LoraModel.attach(model, { r: 8, loraAlpha: 16, targetModules: ['fc1', 'fc2'] });
   */
  static attach<M extends Module>(model: M, config: LoraConfig, name = 'default'): LoraModel<M> {
    if (!(model instanceof Module))
      throw new TypeError(`LoraModel.attach: model is ${describe(model)}, expected a Module`);
    if (
      model instanceof LoraModel ||
      model.namedModules().some(([, module]) => module instanceof LoraLinear)
    ) {
      throw new AdapterError(
        'LoraModel.attach: the model has LoRA layers already, expected a plain model; use addAdapter',
      );
    }
    const resolved = resolveConfig('LoraModel.attach', config);
    checkAdapterName('LoraModel.attach', name);
    const linears = linearsOf(model);
    const first = [...linears.values()][0];
    checkSelection('LoraModel.attach', [...linears.keys()], resolved);
    const lora = new LoraModel(model, (first!.module as Linear).runtime);
    for (const parameter of model.parameters()) {
      lora.#frozen.set(parameter, parameter.requiresGrad);
      parameter.requiresGrad = false;
    }
    try {
      lora.#add('LoraModel.attach', name, resolved);
    } catch (error) {
      lora.#detach();
      throw error;
    }
    lora.setAdapter(name);
    return lora;
  }

  /** Names of all adapters. */
  get adapters(): string[] {
    return [...this.#adapters.keys()];
  }

  /** Names of the active adapters. */
  get activeAdapters(): string[] {
    return [...this.#active];
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

  override forward(...inputs: Tensor[]): Tensor {
    return this.model.forward(...inputs);
  }

  override children(): Iterable<Child> {
    return this.model.children();
  }

  override ownParameters(): Iterable<[string, Parameter]> {
    return this.model.ownParameters();
  }

  /** The parameters that `backward()` gives gradients: what an optimiser takes. */
  trainableParameters(): Parameter[] {
    return this.parameters().filter((parameter) => parameter.requiresGrad);
  }

  /** Trainable and all parameters and their share, in PEFT's words. */
  summary(): ParameterSummary {
    return summarize(this.parameters());
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
   * Makes exactly these adapters active; nothing is copied and nothing else changes.
   * @throws AdapterError when there is no such adapter, or when a merged one would become inactive
   */
  setAdapter(names: string | readonly string[]): void {
    const wanted = typeof names === 'string' ? [names] : [...names];
    for (const name of wanted) this.#adapter('LoraModel.setAdapter', name);
    if (new Set(wanted).size !== wanted.length) {
      throw new AdapterError(
        `LoraModel.setAdapter: ${wanted.join(', ')} names an adapter twice, expected each once`,
      );
    }
    const lost = this.mergedAdapters.find((name) => !wanted.includes(name));
    if (lost !== undefined)
      throw new AdapterError(
        `LoraModel.setAdapter: adapter '${lost}' is merged and would become inactive, expected unmerge() first`,
      );
    this.#active = wanted;
    for (const { layer } of this.#wrapped.values())
      layer.setActive(wanted.filter((name) => layer.adapters.includes(name)));
  }

  /** Removes an adapter and gives its memory back; if it was active, it no longer is. @throws AdapterError when it is merged or unknown */
  deleteAdapter(name: string): void {
    const adapter = this.#adapter('LoraModel.deleteAdapter', name);
    if (this.mergedAdapters.includes(name)) {
      throw new AdapterError(
        `LoraModel.deleteAdapter: adapter '${name}' is merged, expected unmerge() first`,
      );
    }
    for (const path of adapter.paths) this.#wrapped.get(path)!.layer.removeFactors(name);
    this.#active = this.#active.filter((active) => active !== name);
    this.#adapters.delete(name);
    adapter.block.dispose();
  }

  /** Changes which adapters train: exactly these. @throws AdapterError when there is no such adapter */
  setTrainable(names: string | readonly string[]): void {
    const wanted = typeof names === 'string' ? [names] : [...names];
    for (const name of wanted) this.#adapter('LoraModel.setTrainable', name);
    for (const [name, { block }] of this.#adapters) {
      for (const parameter of block.parameters) parameter.requiresGrad = wanted.includes(name);
    }
  }

  /**
   * Runs a synchronous function over the base alone: bit for bit the plain model, also while adapters are merged, and
   * as it was again after an exception.
   * @throws TypeError when `fn` returns a promise
   */
  withAdaptersDisabled<T>(fn: () => T): T {
    if (typeof fn !== 'function')
      throw new TypeError(`LoraModel.withAdaptersDisabled: got ${describe(fn)}, expected a function`);
    let run = fn;
    for (const { layer } of this.#wrapped.values()) {
      const inner = run;
      run = () => layer.withBaseAlone(inner);
    }
    const result = run();
    refusePromise('LoraModel.withAdaptersDisabled', result);
    return result;
  }

  /**
   * Adds adapters (the active ones by default) into the base weights; `unmerge` takes them out again.
   * @throws AdapterError when something is merged, a name is not active, or `safe` finds NaN or infinity; nothing is merged then
   */
  merge(names: readonly string[] = this.#active, options: MergeOptions = {}): void {
    this.#checkAttached('LoraModel.merge');
    for (const name of names) {
      this.#adapter('LoraModel.merge', name);
      if (!this.#active.includes(name))
        throw new AdapterError(
          `LoraModel.merge: adapter '${name}' is not active, expected setAdapter() first`,
        );
    }
    if (this.merged)
      throw new AdapterError(
        `LoraModel.merge: adapters ${this.mergedAdapters.join(', ')} are merged already, expected unmerge() first`,
      );
    if (names.length === 0)
      throw new AdapterError('LoraModel.merge: no adapter is active, expected at least one');
    const done: LoraLinear[] = [];
    try {
      for (const { layer } of this.#wrapped.values()) {
        const here = names.filter((name) => layer.adapters.includes(name));
        if (here.length === 0) continue;
        layer.merge(here, options);
        done.push(layer);
      }
    } catch (error) {
      for (const layer of done) layer.unmerge();
      throw error;
    }
  }

  /** Restores the bytes that the base had before `merge`. @throws AdapterError when nothing is merged */
  unmerge(): void {
    if (!this.merged) throw new AdapterError('LoraModel.unmerge: nothing is merged, expected merge() before');
    for (const { layer } of this.#wrapped.values()) if (layer.merged) layer.unmerge();
  }

  /** Merges the active adapters for good and gives the plain model back, unfrozen as it was; the LoraModel is spent. */
  mergeAndUnload(options: MergeOptions = {}): M {
    this.#checkAttached('LoraModel.mergeAndUnload');
    if (this.merged) this.unmerge();
    this.merge(this.#active, options);
    return this.#detach();
  }

  /** Takes the adapters away and gives the plain model back, unfrozen as it was; the LoraModel is spent. */
  unload(): M {
    this.#checkAttached('LoraModel.unload');
    if (this.merged) this.unmerge();
    return this.#detach();
  }

  /** An adapter as PEFT's two files, as bytes. @throws AdapterError, FormatError when a weight is not finite */
  exportAdapter(name = this.#active[0] ?? 'default'): AdapterFiles {
    const { config, paths } = this.#adapter('LoraModel.exportAdapter', name);
    return exportFiles(
      config,
      paths.map((path) => ({ path, ...this.#wrapped.get(path)!.layer.factors(name) })),
    );
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
    this.#checkNewName(where, name);
    const file = await readSource(where, source, options);
    this.#checkAttached(where);
    this.#add(where, name, file.config);
    try {
      const paths = this.#adapters.get(name)!.paths;
      const report = file.apply(
        name,
        paths.map((path) => ({ path, ...this.#wrapped.get(path)!.layer.factors(name) })),
      );
      for (const parameter of this.#adapters.get(name)!.block.parameters)
        parameter.requiresGrad = options.trainable ?? false;
      return { ...report, warnings: file.warnings };
    } catch (error) {
      this.deleteAdapter(name);
      throw error;
    }
  }

  override dispose(): void {
    for (const { block } of this.#adapters.values()) block.dispose();
    this.model.dispose();
  }

  #add(where: string, name: string, config: ResolvedConfig): void {
    this.#checkNewName(where, name);
    const linears = linearsOf(this.model);
    const paths = checkSelection(where, [...linears.keys()], config);
    const options = paths.map((path) => layerOptionsOf(where, config, path));
    const bases = paths.map((path) => baseOf(linears.get(path)!.module));
    const shapes = bases.map((base, i) => LoraLinear.factorShapes(base, options[i]!.r));
    // A factors first, then B factors, each in the order of their keys.
    const block = new ParameterBlock(this.#runtime, [...shapes.map(([a]) => a), ...shapes.map(([, b]) => b)]);
    for (const [i, path] of paths.entries()) {
      const child = linears.get(path)!;
      let wrapped = this.#wrapped.get(path);
      if (wrapped === undefined) {
        wrapped = { layer: new LoraLinear(bases[i]!), child };
        wrapped.layer.train(this.model.training);
        child.replace(wrapped.layer);
        this.#wrapped.set(path, wrapped);
      }
      wrapped.layer.addFactors(name, block.parameters[i]!, block.parameters[paths.length + i]!, options[i]!);
      wrapped.layer.resetFactors(name);
    }
    this.#adapters.set(name, { config, block, paths });
  }

  #detach(): M {
    for (const { layer, child } of this.#wrapped.values()) child.replace(layer.base);
    for (const { block } of this.#adapters.values()) block.dispose();
    for (const [parameter, requiresGrad] of this.#frozen) parameter.requiresGrad = requiresGrad;
    this.#wrapped.clear();
    this.#adapters.clear();
    this.#active = [];
    this.#attached = false;
    return this.model;
  }

  #adapter(where: string, name: string): Adapter {
    const adapter = this.#adapters.get(name);
    if (adapter === undefined) {
      throw new AdapterError(
        `${where}: there is no adapter ${describe(name)}, expected one of ${this.adapters.join(', ') || 'none'}`,
      );
    }
    return adapter;
  }

  #checkNewName(where: string, name: string): void {
    checkAdapterName(where, name);
    if (this.#adapters.has(name))
      throw new AdapterError(`${where}: adapter '${name}' exists already, expected a new name`);
  }

  #checkAttached(where: string): void {
    if (!this.#attached)
      throw new AdapterError(`${where}: the model was unloaded, expected an attached LoraModel`);
  }
}

function baseOf(module: Module): Linear {
  return module instanceof LoraLinear ? module.base : (module as Linear);
}

/** Every Linear of a model (wrapped or not) by dotted name; a shared layer appears once. */
function linearsOf(model: Module): Map<string, Child> {
  const found = new Map<string, Child>();
  const seen = new Set<Module>();
  const visit = (module: Module, prefix: string): void => {
    for (const child of module.children()) {
      if (seen.has(child.module)) continue;
      seen.add(child.module);
      const path = prefix === '' ? child.name : `${prefix}.${child.name}`;
      if (child.module instanceof Linear || child.module instanceof LoraLinear) found.set(path, child);
      else visit(child.module, path);
    }
  };
  visit(model, '');
  return found;
}

/** The selected names, once every key of the patterns is known to match one of all names. @throws AdapterError */
function checkSelection(where: string, names: readonly string[], config: ResolvedConfig): string[] {
  const selected = selectTargets(where, names, config);
  checkPatternKeys(`${where}: rankPattern`, config.rankPattern, names);
  checkPatternKeys(`${where}: alphaPattern`, config.alphaPattern, names);
  return selected;
}
