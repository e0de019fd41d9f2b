/**
 * LoraModel: named adapters over one frozen model. LoRA layers stand in the places of the targeted ones; the parameters
 * keep their names. An adapter's values lie in one block; switching moves names and references.
 */
import { type Layer, Module } from '../nn/module.js';
import { describe } from '../values/checks.js';
import { addAdapter } from './attached/add-adapter.js';
import { attachTo } from './attached/attach.js';
import type { Attachment } from './attached/attachment.js';
import { type LoraReport, reportOf } from './attached/report.js';
import { withRowNames } from './attached/row-names.js';
import { activate, deleteAdapter, setScale } from './attached/switch.js';
import { addCombined, type WeightedOptions } from './combining/add-weighted.js';
import { type LoraConfig, resolveConfig } from './config/config.js';
import { namesGiven } from './config/names.js';
import { AdapterError } from './errors.js';
import { type AdapterFiles, type ExportOptions, exportAdapter } from './files/export-adapter.js';
import { type AdapterSource, type LoadOptions, type LoadReport, loadAdapter } from './files/load-adapter.js';
import { LoraLayer } from './layer/lora-layer.js';
import type { MergeOptions } from './layer/merge-options.js';
import { mergeForGood, unmergeForGood } from './merging/for-good.js';
import { mergeAdapters, unmergeAdapters } from './merging/merge-model.js';
import { mergeDifference } from './merging/verify.js';
import { WrappedModel } from './wrapped-model.js';

/**
 * A model with adapters in its layers: attach, train, switch, combine, merge, load and save them.
 * @typeParam M - class of the wrapped model
 */
export class LoraModel<M extends Module = Layer> extends WrappedModel<M> {
  private constructor(attachment: Attachment<M>) {
    super(attachment);
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
    const modules = model.namedModules().map(([, module]) => module);
    if (model instanceof LoraModel || modules.some((module) => module instanceof LoraLayer))
      throw new AdapterError(
        `${where}: the model has LoRA layers already, expected a plain model; use addAdapter`,
      );
    return new LoraModel(attachTo(where, model, config, name));
  }

  /** Names of all adapters. */
  get adapters(): string[] {
    return this.attachment.adapters.names;
  }

  /** Names of the active adapters. */
  get activeAdapters(): string[] {
    return [...this.attachment.adapters.active];
  }

  /** Names of the adapters that are merged in one layer at least; `report()` says in which. */
  get mergedAdapters(): string[] {
    return this.attachment.merged;
  }

  /** Whether any adapter is merged in any layer. */
  get merged(): boolean {
    return this.mergedAdapters.length > 0;
  }

  /**
   * The LoRA layer that stands under a dotted name: to merge it alone, switch it off (`enabled`), or look at its factors.
   * @throws AdapterError naming the LoRA layers that there are
   * @example
   * lora.layer('encoder.0.attention.q').enabled = false;
   */
  layer(name: string): LoraLayer {
    return this.attachment.places.get('LoraModel.layer', name);
  }

  /** What is wrapped, loaded, trainable, merged, at which scale, and what matched nothing; `toString()` gives lines of text. */
  report(): LoraReport {
    return reportOf(this.attachment);
  }

  /**
   * Adds an adapter with fresh weights; it is trainable, and not active before `setAdapter`.
   * @throws TypeError, RangeError; AdapterError when the name is taken or a target matches nothing
   */
  addAdapter(name: string, config: LoraConfig): void {
    const where = 'LoraModel.addAdapter';
    addAdapter(this.attachment, where, { name, config: resolveConfig(where, config) });
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
    return addCombined(this.attachment, names, weights, options);
  }

  /**
   * Makes exactly these adapters active; nothing is copied and nothing else changes.
   * @throws AdapterError when there is no such adapter, when two of them cannot be active together, or when a merged one would become inactive
   */
  setAdapter(names: string | readonly string[]): void {
    const where = 'LoraModel.setAdapter';
    activate(this.attachment, where, namesGiven(where, names));
  }

  /**
   * Multiplies an adapter's scaling everywhere from now on: 0 gives the base bit for bit, 1 is the start. DoRA's magnitude,
   * trained biases and saved modules are not scaled. Files do not hold it: `exportAdapter` writes the adapter at 1.
   * @throws TypeError, RangeError; AdapterError when it is merged or unknown
   */
  setScale(name: string, multiplier: number): void {
    setScale(this.attachment, 'LoraModel.setScale', name, multiplier);
  }

  /** Removes an adapter and gives its memory back; if it was active, it no longer is. @throws AdapterError when it is merged or unknown */
  deleteAdapter(name: string): void {
    deleteAdapter(this.attachment, 'LoraModel.deleteAdapter', name);
  }

  /** Changes which adapters train: exactly these. @throws AdapterError when there is no such adapter */
  setTrainable(names: string | readonly string[]): void {
    const where = 'LoraModel.setTrainable';
    this.attachment.adapters.train(where, namesGiven(where, names));
  }

  /**
   * Runs a synchronous function over the base alone: bit for bit the plain model, also while adapters are merged, and
   * as it was again after an exception.
   * @throws TypeError when `fn` returns a promise; AdapterError when it switches, deletes, merges or unloads adapters
   */
  withAdaptersDisabled<T>(fn: () => T): T {
    const { attachment } = this;
    return attachment.guard.run('withAdaptersDisabled', 'LoraModel.withAdaptersDisabled', fn, (inner) =>
      attachment.withBaseAlone(inner),
    );
  }

  /**
   * Runs a synchronous function in which every row of a batch has an adapter of its own, whatever is active: around one
   * forward, or around a loop of many. Evaluation mode only.
   *
   * A row has its adapter's trained biases and saved modules too, where those belong to Linear, Embedding, Conv2d, LayerNorm or RMSNorm
   * layers; they act in `forward` of these: code that reads their parameters itself meets the base's. A layer takes any
   * multiple of the rows as its first dimension.
   * @param names - the adapter of each row of the batch (the first dimension); `'__base__'` for none
   * @returns what `fn` returns
   * @throws TypeError when `fn` returns a promise; AdapterError for an unknown name, in training mode, while something is merged,
   * or when `fn` switches, deletes, merges or unloads adapters
   * @example
   * const y = lora.eval().withAdapterNames(['french', '__base__', 'german'], () => lora.forward(x));
   */
  withAdapterNames<T>(names: readonly string[], fn: () => T): T {
    return withRowNames(this.attachment, this, names, fn);
  }

  /**
   * Adds adapters (all active ones that are not merged everywhere yet, by default) into the base weights of the layers where
   * they are not merged yet; `unmerge` takes them out again. A layer that is off (`enabled`) is left out: nothing takes part there.
   * @throws AdapterError when one is merged already or not active, or `safe` finds NaN or infinity; OutOfMemoryError; nothing is merged then
   */
  merge(names?: readonly string[], options: MergeOptions = {}): void {
    mergeAdapters(this.attachment, names, options);
  }

  /** Takes adapters (all merged ones by default) out of the weights again: the kept bytes, with the others merged anew. @throws AdapterError, OutOfMemoryError; nothing has changed then */
  unmerge(names?: readonly string[]): void {
    unmergeAdapters(this.attachment, names);
  }

  /**
   * The largest difference that merging the active adapters makes to the model's output, before anything is dropped: the
   * two forwards are compared in evaluation mode, and everything is as it was again.
   * @param inputs - what the model's own `forward` takes
   * @returns max |merged - unmerged| over the elements of the output, or of all tensors in it
   * @throws AdapterError when no adapter is active; TypeError when the output holds no tensor; OutOfMemoryError
   */
  verifyMerge(...inputs: Parameters<M['forward']>): number {
    return mergeDifference(this.attachment, this, inputs);
  }

  /**
   * Merges for good and gives the plain model back, unfrozen as it was; the LoraModel is spent. The model computes what
   * `forward` gave: a layer that is off adds nothing, and what was merged by hand, in some layers only too, stays merged.
   * @throws AdapterError, OutOfMemoryError; nothing has changed then
   */
  mergeAndUnload(options: MergeOptions = {}): M {
    return mergeForGood(this.attachment, options);
  }

  /** Takes the adapters away and gives the plain model back, unfrozen as it was; the LoraModel is spent. */
  unload(): M {
    return unmergeForGood(this.attachment);
  }

  /** An adapter as PEFT's two files, as bytes. @throws AdapterError, FormatError when a weight is not finite */
  exportAdapter(name?: string, options: ExportOptions = {}): AdapterFiles {
    const { adapters } = this.attachment;
    const write = (): AdapterFiles => exportAdapter(adapters, name, options);
    // A merged LoRA bias may stand in the adapter's own copy of the bias.
    const inCopies = this.merged && adapters.activeCopies().length > 0;
    return inCopies ? this.attachment.withoutMerged(write) : write();
  }

  /**
   * Loads an adapter under a new name; it is not activated. Nothing random is drawn for layers that the file has.
   * @param source - both of PEFT's files as contents, or the folder (URL; in Node also a path) that holds them; or what a reader of
   * `lora-wasm/formats` gave: an adapter of MLX, GGUF, kohya or loralib
   * @returns what did not fit, empty lists in strict mode
   * @throws AdapterError, FormatError; the model is then unchanged
   */
  async loadAdapter(name: string, source: AdapterSource, options: LoadOptions = {}): Promise<LoadReport> {
    return loadAdapter(this.attachment, name, source, options);
  }
}
