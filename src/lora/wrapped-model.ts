/**
 * WrappedModel: what a LoraModel is as a Module. It computes what its model computes, and its parameters are the model's under
 * their own names, with those of the adapters beside them.
 */
import { type Child, type Layer, Module, parametersOf } from '../nn/module.js';
import type { Parameter, ParameterGroup } from '../tensor/parameter.js';
import type { Attachment } from './attached/attachment.js';
import { namedCopies } from './attached/copies.js';
import { type GroupOptions, parameterGroups } from './attached/groups.js';
import { checkBatch } from './attached/row-names.js';
import { type ParameterSummary, summarize } from './attached/summary.js';
import { type Restored, restoredValues } from './files/restore-adapter.js';

/**
 * A model with LoRA layers in place, as a Module: forward and parameters. What is done with its adapters is `LoraModel`.
 * @typeParam M - class of the wrapped model
 */
export abstract class WrappedModel<M extends Module = Layer> extends Module {
  /** The model, with LoRA layers in place. */
  readonly model: M;
  /** @internal */ protected readonly attachment: Attachment<M>;

  /** @internal Use `LoraModel.attach`. */
  protected constructor(attachment: Attachment<M>) {
    super();
    this.attachment = attachment;
    this.model = attachment.model;
    this.setMode(this.model.training);
  }

  /**
   * The model's output with the active adapters.
   * @param inputs - what the model's own `forward` takes: tensors, a cache, options
   * @returns what the model's own `forward` gives
   * @throws AdapterError inside `withAdapterNames` for a batch (the first tensor given) of another number of rows
   */
  override forward(...inputs: Parameters<M['forward']>): ReturnType<M['forward']> {
    checkBatch(this.attachment, this, inputs);
    // The compiler sees the forward of every model here, and not that of M.
    return this.attachment.runtime.attempt(() => this.model.forward(...inputs)) as ReturnType<M['forward']>;
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
    const { adapters } = this.attachment;
    return [...parametersOf(this, adapters.originals()), ...namedCopies(adapters.all)];
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
    return parameterGroups('LoraModel.parameterGroups', this.namedParameters(), options);
  }

  /** Trainable and all parameters and their share, in PEFT's words and as it counts: a trained bias is one parameter. */
  summary(): ParameterSummary {
    return summarize(
      this.parameters(),
      this.attachment.adapters.all.flatMap(({ copies }) => copies),
    );
  }

  /** @internal Names of the adapters that train. */
  get trainedAdapters(): string[] {
    return this.attachment.adapters.all.filter(({ trainable }) => trainable).map(({ name }) => name);
  }

  /** @internal What an adapter's parameters were when `weights` was exported of it. @throws AdapterError, FormatError */
  restoredValues(where: string, name: string, weights: Uint8Array): Restored[] {
    return restoredValues(where, this.attachment.adapters.get(where, name), weights);
  }

  /** @internal The parameters of an adapter. @throws AdapterError */
  parametersOf(name: string): readonly Parameter[] {
    return this.attachment.adapters.get('LoraModel', name).block.parameters;
  }

  /** @internal */
  override setMode(training: boolean): void {
    super.setMode(training);
    this.model.setMode(training);
  }

  override dispose(): void {
    this.attachment.dispose();
  }
}
