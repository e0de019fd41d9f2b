/**
 * The Trainer: training of any model with schedule, accumulation, evaluation, checkpoints and resume. Its calls are checked here;
 * what a run does is in loop.ts.
 */
import type { Module } from '../nn/module.js';
import type { Optimizer } from '../optim/base.js';
import { checkOptions, checkSignal } from '../values/checks.js';
import { DISPOSE } from '../values/dispose.js';
import type { HostAbortSignal } from '../values/globals.js';
import type { Batches } from './batches.js';
import { evaluated } from './evaluation.js';
import type { TrainEvent, TrainHistory, TrainResult } from './events.js';
import { TrainLoop } from './loop.js';
import type { TrainerOptions } from './options.js';
import { type Parts, partsOf } from './parts.js';
import { type CheckpointFiles, checkFiles } from './store.js';

/**
 * Trains a model, a LoraModel or any other, by a loss function over batches.
 * @typeParam B - a batch
 * @typeParam M - class of the model
 * @example
 * const trainer = new Trainer(lora, batches, { loss: ({ x, y }) => crossEntropy(lora.forward(rt.tensor(x, [32, 784])), rt.tensor(y)) });
 * for await (const event of trainer.run()) if (event.type === 'step') console.log(event.step, event.loss);
 */
export class Trainer<B, M extends Module> {
  readonly #parts: Parts<B, M>;
  readonly #loop: TrainLoop<B, M>;
  #running = false;
  #disposed = false;

  /**
   * @param model - what trains in it is what `requiresGrad`; a LoraModel's adapters, a plain model's own parameters
   * @param batches - in an array, or made out of rows (`BatchSource`)
   * @throws TypeError, RangeError; OutOfMemoryError for the moments of the default optimizer
   */
  constructor(model: M, batches: Batches<B>, options: TrainerOptions<B, M>) {
    this.#parts = partsOf('Trainer', model, batches, options);
    this.#loop = new TrainLoop(this.#parts);
  }

  /** Optimiser steps so far. */
  get step(): number {
    return this.#loop.progress.step;
  }

  /** Optimiser steps that the whole run has. */
  get steps(): number {
    return this.#parts.plan.steps;
  }

  /** All steps and evaluations so far, as copies. */
  get history(): TrainHistory {
    return this.#loop.history;
  }

  /** What trains it. */
  get optimizer(): Optimizer {
    return this.#parts.optimizer;
  }

  /**
   * Trains to the end, from where it is. Between two steps the event loop has a turn; whoever leaves the loop over the events may
   * call it again and goes on. After an error the run is as after its last whole step.
   * @param options - `signal` ends the run behind the step that it is in, or in an evaluation before its next batch, with a checkpoint
   * where there is a store
   * @returns the events, and behind them what it came to
   * @throws TrainingError for a loss or gradient that is not finite, and where nothing is learnt; CheckpointError for a store with
   * another run; what the loss function, the store and the caller's functions throw
   */
  run(options: { readonly signal?: HostAbortSignal } = {}): AsyncGenerator<TrainEvent, TrainResult> {
    const where = 'Trainer.run';
    checkOptions(where, options, ['signal']);
    const { signal } = options;
    checkSignal(where, signal);
    this.#checkIdle(where);
    return this.#events(where, signal);
  }

  /**
   * The value of the evaluation now: the mean loss over its batches in evaluation mode, or what the function gives.
   * @param options - `signal` ends it between two batches, with the signal's reason as the error
   * @throws RangeError without an evaluation; Error in the middle of a step
   */
  async evaluate(options: { readonly signal?: HostAbortSignal } = {}): Promise<number> {
    const where = 'Trainer.evaluate';
    checkOptions(where, options, ['signal']);
    const { signal } = options;
    checkSignal(where, signal);
    this.#checkLive(where);
    if (this.#parts.plan.evaluate === null)
      throw new RangeError(`${where}: there is no evaluate, expected the option`);
    signal?.throwIfAborted();
    const value = await evaluated(where, this.#parts, this.step, signal);
    if (value === null) throw signal?.reason;
    return value;
  }

  /**
   * The whole run as files by name, between two steps: `adapter_model.safetensors` and `adapter_config.json` (those of further
   * adapters that train in folders of their names), or a plain model's `model.safetensors`; `optimizer.safetensors`, `trainer.json`.
   * @throws FormatError for a weight that is not finite
   */
  save(): Map<string, Uint8Array> {
    this.#checkLive('Trainer.save');
    return this.#loop.save();
  }

  /**
   * Goes on from what `save` gave, here or in another program: `run` ends in the bytes that an undisturbed run ends in.
   * @param files - by name
   * @throws TypeError; CheckpointError for a checkpoint of another run, AdapterError, FormatError for damaged files; nothing has changed then
   */
  restore(files: CheckpointFiles): void {
    const where = 'Trainer.restore';
    checkFiles(where, files);
    this.#checkIdle(where);
    this.#loop.restore(where, files);
  }

  /** Ends the Trainer's use, and gives the memory of the optimizer's moments back where the Trainer made it. */
  dispose(): void {
    if (this.#parts.plan.optimizer === null) this.#parts.optimizer.dispose();
    this.#disposed = true;
  }

  /** The same as `dispose`, for `using`. */
  [DISPOSE](): void {
    this.dispose();
  }

  async *#events(
    where: string,
    signal: HostAbortSignal | undefined,
  ): AsyncGenerator<TrainEvent, TrainResult> {
    // Another one may have begun since this one was asked for.
    this.#checkIdle(where);
    this.#running = true;
    try {
      return yield* this.#loop.events(where, signal);
    } finally {
      this.#running = false;
    }
  }

  #checkLive(where: string): void {
    if (this.#disposed) throw new Error(`${where}: used after dispose()`);
  }

  #checkIdle(where: string): void {
    this.#checkLive(where);
    if (this.#running)
      throw new Error(`${where}: a run is under way, expected the end of its events, or a break out of them`);
  }
}
