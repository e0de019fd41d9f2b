/**
 * The Trainer: a loop over batches for any model, with schedule, accumulation, evaluation, checkpoints and resume. What a step
 * is stands in step.ts, what a checkpoint is in checkpoint.ts; here they follow each other.
 */
import { yieldToEvents } from '../engine/yield.js';
import type { Module } from '../nn/module.js';
import type { Optimizer } from '../optim/base.js';

import { checkOptions, checkSignal } from '../values/checks.js';
import { DISPOSE } from '../values/dispose.js';
import type { HostAbortSignal } from '../values/globals.js';
import type { Batches } from './batches.js';
import { judged } from './best.js';
import { checkpointFiles, type Run, restoreCheckpoint } from './checkpoint.js';
import { checkpointIsDue, evaluationIsDue, type Stored } from './due.js';
import { endOf, finish } from './ending.js';
import { CheckpointError } from './errors.js';
import { evaluated, Modes } from './evaluation.js';
import type {
  CheckpointEvent,
  EvalEvent,
  StepEvent,
  TrainEvent,
  TrainHistory,
  TrainResult,
} from './events.js';
import { type Identity, identityOf } from './identity.js';
import type { TrainerOptions } from './options.js';
import { type Parts, partsOf } from './parts.js';
import { type History, type Progress, START } from './progress.js';
import { Stepper } from './step.js';
import { type CheckpointFiles, checkFiles } from './store.js';
import { trainedIn, writeNamed } from './weights.js';

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
  readonly #warnings: string[] = [];
  #identity: Identity | null = null;
  #progress: Progress = START;
  #history: History = { steps: [], evaluations: [] };
  /** The parameters of the best evaluation, as a file. */
  #bestFile: Uint8Array | null = null;
  #running = false;
  #disposed = false;
  /** Whether the store has been asked for what to go on from. */
  #begun = false;
  #stored: Stored | null = null;

  /**
   * @param model - what trains in it is what `requiresGrad`; a LoraModel's adapters, a plain model's own parameters
   * @param batches - in an array, or made out of rows (`BatchSource`)
   * @throws TypeError, RangeError; OutOfMemoryError for the moments of the default optimizer
   */
  constructor(model: M, batches: Batches<B>, options: TrainerOptions<B, M>) {
    this.#parts = partsOf('Trainer', model, batches, options);
  }

  /** Optimiser steps so far. */
  get step(): number {
    return this.#progress.step;
  }

  /** Optimiser steps that the whole run has. */
  get steps(): number {
    return this.#parts.plan.steps;
  }

  /** All steps and evaluations so far, as copies. */
  get history(): TrainHistory {
    return { steps: [...this.#history.steps], evaluations: [...this.#history.evaluations] };
  }

  /** What trains it. */
  get optimizer(): Optimizer {
    return this.#parts.optimizer;
  }

  /**
   * Trains to the end, from where it is. Between two steps the event loop has a turn; whoever leaves the loop over the events may
   * call it again and goes on. After an error the run is as after its last whole step.
   * @param options - `signal` ends the run behind the step that it is in, with a checkpoint where there is a store
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
   * @throws RangeError without an evaluation
   */
  async evaluate(): Promise<number> {
    const where = 'Trainer.evaluate';
    this.#checkLive(where);
    if (this.#parts.plan.evaluate === null)
      throw new RangeError(`${where}: there is no evaluate, expected the option`);
    return evaluated(where, this.#parts, this.#progress.step);
  }

  /**
   * The whole run as files by name, between two steps: `adapter_model.safetensors` and `adapter_config.json` (those of further
   * adapters that train in folders of their names), or a plain model's `model.safetensors`; `optimizer.safetensors`, `trainer.json`.
   * @throws FormatError for a weight that is not finite
   */
  save(): Map<string, Uint8Array> {
    this.#checkLive('Trainer.save');
    const state = { progress: this.#progress, history: this.#history, best: this.#bestFile };
    return checkpointFiles(this.#run(), state);
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
    this.#restore(where, files);
    this.#begun = true;
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
    const modes = new Modes(this.#parts.model);
    try {
      if (!this.#begun) await this.#begin(where);
      yield* this.#train(signal);
      if (this.#progress.end !== null) finish(where, this.#parts.model, this.#progress, this.#bestFile);
      return this.#result();
    } finally {
      modes.putBack();
      this.#running = false;
    }
  }

  /** Steps until the end, with evaluations and checkpoints where they are due. */
  async *#train(signal: HostAbortSignal | undefined): AsyncGenerator<TrainEvent, void> {
    const { model, plan } = this.#parts;
    const stepper = new Stepper(this.#parts, (message) => this.#warn(message));
    for (;;) {
      const stop = signal?.aborted === true;
      // What is due behind a step is done here, so that it is not lost where the loop was left, or the run saved, at the step.
      if (!stop && evaluationIsDue(plan, this.#progress, this.#history)) yield await this.#evaluate();
      if (!stop) this.#progress = { ...this.#progress, end: endOf(plan, this.#progress) };
      const ends = stop || this.#progress.end !== null;
      if (checkpointIsDue(plan, this.#progress, this.#stored, ends)) yield await this.#store();
      if (ends) return;
      await yieldToEvents();
      model.train();
      yield await this.#step(stepper);
    }
  }

  async #step(stepper: Stepper<B, M>): Promise<StepEvent> {
    const begin = performance.now();
    const { record, progress } = await stepper.run(this.#progress);
    this.#progress = progress;
    this.#history.steps.push(record);
    return { type: 'step', ...record, seconds: (performance.now() - begin) / 1000 };
  }

  async #evaluate(): Promise<EvalEvent> {
    const begin = performance.now();
    const { step } = this.#progress;
    const { model, plan } = this.#parts;
    const value = await evaluated('Trainer.run', this.#parts, step);
    const state = judged(plan, this.#progress.best, step, value);
    const best = state.best !== this.#progress.best.best;
    if (best && plan.keepBest) this.#bestFile = writeNamed(trainedIn(model));
    this.#progress = { ...this.#progress, best: state };
    const record = { step, value, best };
    this.#history.evaluations.push(record);
    return { type: 'eval', ...record, seconds: (performance.now() - begin) / 1000 };
  }

  async #store(): Promise<CheckpointEvent> {
    const begin = performance.now();
    const { step, end } = this.#progress;
    await this.#parts.plan.store!.save(step, this.save());
    this.#stored = { step, end };
    return { type: 'checkpoint', step, seconds: (performance.now() - begin) / 1000 };
  }

  /** Goes on from the store's newest checkpoint, or sees to it that there is none. */
  async #begin(where: string): Promise<void> {
    const { store, resume } = this.#parts.plan;
    const found = (await store?.latest()) ?? null;
    if (found !== null && !resume)
      throw new CheckpointError(
        `${where}: the store has a checkpoint of step ${found.step}, expected resume: true or a store without one`,
      );
    if (found !== null) {
      this.#restore(where, found.files);
      const { step, end } = this.#progress;
      this.#stored = { step, end };
    }
    this.#begun = true;
  }

  #restore(where: string, files: CheckpointFiles): void {
    const { progress, history, best } = restoreCheckpoint(where, this.#run(), files);
    this.#progress = progress;
    this.#history = history;
    this.#bestFile = best;
  }

  #result(): TrainResult {
    const { step, end, best } = this.#progress;
    const { history } = this;
    return { reason: end ?? 'aborted', step, best: best.best, history, warnings: [...this.#warnings] };
  }

  #run(): Run {
    this.#identity ??= identityOf(this.#parts);
    return { ...this.#parts, identity: this.#identity };
  }

  #warn(message: string): void {
    this.#warnings.push(message);
    this.#parts.plan.onWarning(message);
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
