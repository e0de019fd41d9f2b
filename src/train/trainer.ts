/**
 * The Trainer: a loop over batches for any model, with schedule, accumulation, evaluation, checkpoints and resume. What a step
 * is stands in step.ts, what a checkpoint is in checkpoint.ts; here they follow each other.
 */
import { yieldToEvents } from '../engine/yield.js';
import { Module } from '../nn/module.js';
import type { Optimizer } from '../optim/base.js';
import { AdamW } from '../optim/optimizer.js';
import type { Runtime } from '../tensor/runtime.js';
import { checkOptions, checkSignal, describe } from '../values/checks.js';
import { DISPOSE } from '../values/dispose.js';
import type { HostAbortSignal } from '../values/globals.js';
import { isMap } from '../values/kind.js';
import { type Batches, type CheckedBatches, checkBatches } from './batches.js';
import { checkpointFiles, type Run, readBest, restoreCheckpoint } from './checkpoint.js';
import { CheckpointError, TrainingError } from './errors.js';
import { Best, evaluated, Modes } from './evaluation.js';
import type {
  CheckpointEvent,
  EvalEvent,
  StepEvent,
  TrainEvent,
  TrainHistory,
  TrainResult,
} from './events.js';
import { type Identity, identityOf } from './identity.js';
import { checkTrainerOptions, type TrainerOptions, type TrainerPlan } from './options.js';
import { type History, type Progress, START } from './progress.js';
import { Stepper } from './step.js';
import type { CheckpointFiles } from './store.js';
import { trainedIn, writeNamed } from './weights.js';
import { firstNotFinite } from './window.js';

/**
 * Trains a model, a LoraModel or any other, by a loss function over batches.
 * @typeParam B - a batch
 * @typeParam M - class of the model
 * @example
 * const trainer = new Trainer(lora, batches, { loss: ({ x, y }) => crossEntropy(lora.forward(rt.tensor(x, [32, 784])), rt.tensor(y)) });
 * for await (const event of trainer.run()) if (event.type === 'step') console.log(event.step, event.loss);
 */
export class Trainer<B, M extends Module> {
  readonly #runtime: Runtime;
  readonly #model: M;
  readonly #batches: CheckedBatches<B>;
  readonly #plan: TrainerPlan<B, M>;
  readonly #optimizer: Optimizer;
  readonly #warnings: string[] = [];
  readonly #best: Best;
  #identity: Identity | null = null;
  #progress: Progress = START;
  #history: History = { steps: [], evaluations: [] };
  /** The parameters of the best evaluation, as a file. */
  #bestFile: Uint8Array | null = null;
  #running = false;
  #disposed = false;
  /** Whether the store has been asked for what to go on from. */
  #begun = false;
  /** The step, and the end, that the store's newest checkpoint has. */
  #stored: Pick<Progress, 'step' | 'end'> | null = null;

  /**
   * @param model - what trains in it is what `requiresGrad`; a LoraModel's adapters, a plain model's own parameters
   * @param batches - in an array, or made out of rows (`BatchSource`)
   * @throws TypeError, RangeError; OutOfMemoryError for the moments of the default optimizer
   */
  constructor(model: M, batches: Batches<B>, options: TrainerOptions<B, M>) {
    const where = 'Trainer';
    if (!(model instanceof Module))
      throw new TypeError(`${where}: model is ${describe(model)}, expected a Module or LoraModel`);
    const named = trainedIn(model);
    const [first] = named;
    if (first === undefined)
      throw new RangeError(
        `${where}: nothing in the model trains, expected a parameter that requires a gradient`,
      );
    this.#runtime = first[1].runtime;
    this.#model = model;
    this.#batches = checkBatches(`${where}: batches`, batches);
    this.#plan = checkTrainerOptions(where, options, this.#batches, this.#runtime.info().seed);
    checkNames(where, model, this.#plan.optimizer);
    this.#best = new Best(this.#plan);
    this.#optimizer = this.#plan.optimizer ?? new AdamW(named.map(([, parameter]) => parameter));
  }

  /** Optimiser steps so far. */
  get step(): number {
    return this.#progress.step;
  }

  /** Optimiser steps that the whole run has. */
  get steps(): number {
    return this.#plan.steps;
  }

  /** All steps and evaluations so far, as copies. */
  get history(): TrainHistory {
    return { steps: [...this.#history.steps], evaluations: [...this.#history.evaluations] };
  }

  /** What trains it. */
  get optimizer(): Optimizer {
    return this.#optimizer;
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
    if (this.#plan.evaluate === null)
      throw new RangeError(`${where}: there is no evaluate, expected the option`);
    return evaluated(where, this.#runtime, this.#model, this.#plan, this.#progress.step);
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
    if (!isMap(files))
      throw new TypeError(`${where}: files is ${describe(files)}, expected a Map of bytes by name`);
    this.#checkIdle(where);
    this.#restore(where, files);
    this.#begun = true;
  }

  /** Ends the Trainer's use, and gives the memory of the optimizer's moments back where the Trainer made it. */
  dispose(): void {
    if (this.#plan.optimizer === null) this.#optimizer.dispose();
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
    const modes = new Modes(this.#model);
    try {
      if (!this.#begun) await this.#begin(where);
      yield* this.#train(signal);
      const aborted = this.#progress.end === null;
      if (!aborted) this.#finish(where);
      return this.#result(aborted);
    } finally {
      modes.putBack();
      this.#running = false;
    }
  }

  /** Steps until the end, with evaluations and checkpoints where they are due. */
  async *#train(signal: HostAbortSignal | undefined): AsyncGenerator<TrainEvent, void> {
    const parts = { runtime: this.#runtime, model: this.#model, optimizer: this.#optimizer };
    const stepper = new Stepper(parts, this.#batches, this.#plan, (message) => this.#warn(message));
    for (;;) {
      const stop = signal?.aborted === true;
      // What is due behind a step is done here, so that it is not lost where the loop was left, or the run saved, at the step.
      if (!stop && this.#evaluates()) yield await this.#evaluate();
      if (!stop) this.#checkEnd();
      const ends = stop || this.#progress.end !== null;
      if (this.#stores(ends)) yield await this.#store();
      if (ends) return;
      await yieldToEvents();
      this.#model.train();
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
    const value = await evaluated('Trainer.run', this.#runtime, this.#model, this.#plan, step);
    const best = this.#best.take(step, value);
    if (best && this.#plan.keepBest) this.#bestFile = writeNamed(trainedIn(this.#model));
    this.#progress = { ...this.#progress, best: this.#best.state };
    const record = { step, value, best };
    this.#history.evaluations.push(record);
    return { type: 'eval', ...record, seconds: (performance.now() - begin) / 1000 };
  }

  async #store(): Promise<CheckpointEvent> {
    const begin = performance.now();
    const { step, end } = this.#progress;
    await this.#plan.store!.save(step, this.save());
    this.#stored = { step, end };
    return { type: 'checkpoint', step, seconds: (performance.now() - begin) / 1000 };
  }

  /** Whether an evaluation is to be made before the next step. */
  #evaluates(): boolean {
    const { evaluate, evaluateEvery } = this.#plan;
    const done = this.#history.evaluations.at(-1)?.step === this.#progress.step;
    return evaluate !== null && !done && this.#isDue(evaluateEvery);
  }

  /** Whether a checkpoint is to be kept before the next step. @param ends - whether there will be none */
  #stores(ends: boolean): boolean {
    const { step, end } = this.#progress;
    const kept = this.#stored?.step === step && this.#stored.end === end;
    return this.#plan.store !== null && step > 0 && !kept && (ends || this.#isDue(this.#plan.saveEvery));
  }

  /** Whether something that comes every so many steps (null: every epoch; 0: never) comes behind the last one. */
  #isDue(every: number | null): boolean {
    const { step, batch } = this.#progress;
    if (every === 0 || step === 0) return false;
    return step >= this.#plan.steps || (every === null ? batch === 0 : step % every === 0);
  }

  /** Notes where the run is over. */
  #checkEnd(): void {
    const { step } = this.#progress;
    if (step >= this.#plan.steps) this.#progress = { ...this.#progress, end: 'finished' };
    else if (this.#best.exhausted) this.#progress = { ...this.#progress, end: 'early-stop' };
  }

  /** Goes on from the store's newest checkpoint, or sees to it that there is none. */
  async #begin(where: string): Promise<void> {
    const { store, resume } = this.#plan;
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
    this.#best.state = progress.best;
  }

  /** What there is to say, and to do, when the last step is done. @throws TrainingError where nothing counted, or all is lost */
  #finish(where: string): void {
    const { step, counted } = this.#progress;
    if (counted === 0)
      throw new TrainingError(
        `${where}: nothing counted in ${step} steps, expected an unmasked example`,
        step,
      );
    if (this.#bestFile !== null)
      for (const [parameter, values] of readBest(where, this.#model, this.#bestFile)) parameter.write(values);
    const wrong = firstNotFinite(trainedIn(this.#model));
    if (wrong !== null)
      throw new TrainingError(`${where}: after step ${step}: ${wrong}, expected finite parameters`, step);
  }

  #result(aborted: boolean): TrainResult {
    const { step, end, best } = this.#progress;
    const { history } = this;
    const reason = aborted ? 'aborted' : (end ?? 'aborted');
    return { reason, step, best: best.best, history, warnings: [...this.#warnings] };
  }

  #run(): Run {
    const [runtime, model, optimizer] = [this.#runtime, this.#model, this.#optimizer];
    this.#identity ??= identityOf({ model, batches: this.#batches, plan: this.#plan, optimizer });
    return { runtime, model, optimizer, identity: this.#identity };
  }

  #warn(message: string): void {
    this.#warnings.push(message);
    this.#plan.onWarning(message);
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

/** @throws RangeError where the optimizer has a parameter that is not the model's */
function checkNames(where: string, model: Module, optimizer: Optimizer | null): void {
  if (optimizer === null) return;
  const own = new Set(model.parameters());
  const foreign = optimizer.settings.groups
    .flatMap(({ parameters }) => parameters)
    .find((one) => !own.has(one));
  if (foreign !== undefined)
    throw new RangeError(
      `${where}: the optimizer has a parameter [${foreign.shape.join(', ')}] that is not the model's, expected the model's alone`,
    );
}
