/**
 * The loop of a run: what follows what, and what it has come to so far. Steps are made by step.ts, what comes between two by
 * evaluation.ts and checkpoint.ts; due.ts and ending.ts say when. A Trainer has one.
 */
import { yieldToEvents } from '../engine/yield.js';
import type { Module } from '../nn/module.js';
import type { HostAbortSignal } from '../values/globals.js';
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
import type { Parts } from './parts.js';
import { type History, type Progress, START } from './progress.js';
import { Stepper } from './step.js';
import { type CheckpointFiles, checkStored } from './store.js';
import { trainedIn, writeNamed } from './weights.js';

export class TrainLoop<B, M extends Module> {
  readonly #parts: Parts<B, M>;
  readonly #warnings: string[] = [];
  #identity: Identity | null = null;
  #progress: Progress = START;
  #history: History = { steps: [], evaluations: [] };
  /** The parameters of the best evaluation, as a file. */
  #bestFile: Uint8Array | null = null;
  /** Whether the store has been asked for what to go on from. */
  #begun = false;
  #stored: Stored | null = null;

  constructor(parts: Parts<B, M>) {
    this.#parts = parts;
  }

  get progress(): Progress {
    return this.#progress;
  }

  /** All steps and evaluations so far, as copies. */
  get history(): TrainHistory {
    return { steps: [...this.#history.steps], evaluations: [...this.#history.evaluations] };
  }

  /** @see Trainer.run */
  async *events(where: string, signal: HostAbortSignal | undefined): AsyncGenerator<TrainEvent, TrainResult> {
    const { model } = this.#parts;
    const modes = new Modes(model);
    try {
      if (!this.#begun) await this.#begin(where);
      yield* this.#train(signal);
      if (this.#progress.end !== null) finish(where, model, this.#progress, this.#bestFile);
      return this.#result();
    } finally {
      modes.putBack();
    }
  }

  /** @see Trainer.save */
  save(): Map<string, Uint8Array> {
    const state = { progress: this.#progress, history: this.#history, best: this.#bestFile };
    return checkpointFiles(this.#run(), state);
  }

  /** @see Trainer.restore */
  restore(where: string, files: CheckpointFiles): void {
    const { progress, history, best } = restoreCheckpoint(where, this.#run(), files);
    this.#progress = progress;
    this.#history = history;
    this.#bestFile = best;
    this.#begun = true;
  }

  /** Goes on from the store's newest checkpoint, or sees to it that there is none. */
  async #begin(where: string): Promise<void> {
    const { store, resume } = this.#parts.plan;
    const found = store === null ? null : checkStored(where, await store.latest());
    if (found !== null && !resume)
      throw new CheckpointError(
        `${where}: the store has a checkpoint of step ${found.step}, expected resume: true or a store without one`,
      );
    if (found !== null) {
      this.restore(where, found.files);
      const { step, end } = this.#progress;
      this.#stored = { step, end };
    }
    this.#begun = true;
  }

  /** Steps until the end, with evaluations and checkpoints where they are due. */
  async *#train(signal: HostAbortSignal | undefined): AsyncGenerator<TrainEvent, void> {
    const { model, plan } = this.#parts;
    const stepper = new Stepper(this.#parts, (message) => this.#warn(message));
    const stopped = (): boolean => signal?.aborted === true;
    const evaluates = (): boolean => evaluationIsDue(plan, this.#progress, this.#history);
    for (;;) {
      const stop = stopped();
      // What is due behind a step is done here, so that it is not lost where the loop was left, or the run saved, at the step.
      const evaluation = !stop && evaluates() ? await this.#evaluate(signal) : null;
      if (evaluation !== null) yield evaluation;
      if (!stop && !evaluates()) this.#progress = { ...this.#progress, end: endOf(plan, this.#progress) };
      const ends = stop || this.#progress.end !== null;
      if (checkpointIsDue(plan, this.#progress, this.#stored, ends)) yield await this.#store();
      if (ends) return;
      await yieldToEvents();
      // The signal may have come since: while an evaluation was made, or a checkpoint kept.
      if (stopped()) continue;
      model.train();
      yield await this.#step(stepper);
    }
  }

  async #step(stepper: Stepper<B, M>): Promise<StepEvent> {
    const begin = performance.now();
    const { record, progress } = await stepper.run(this.#progress);
    this.#progress = progress;
    this.#history.steps.push(record);
    return { type: 'step', ...record, seconds: secondsSince(begin) };
  }

  /** Null where the signal ended it: it is still due then. */
  async #evaluate(signal: HostAbortSignal | undefined): Promise<EvalEvent | null> {
    const begin = performance.now();
    const { step } = this.#progress;
    const { model, plan } = this.#parts;
    const value = await evaluated('Trainer.run', this.#parts, step, signal);
    if (value === null) return null;
    const state = judged(plan, this.#progress.best, step, value);
    const best = state.best !== this.#progress.best.best;
    if (best && plan.keepBest) this.#bestFile = writeNamed(trainedIn(model));
    this.#progress = { ...this.#progress, best: state };
    const record = { step, value, best };
    this.#history.evaluations.push(record);
    return { type: 'eval', ...record, seconds: secondsSince(begin) };
  }

  async #store(): Promise<CheckpointEvent> {
    const begin = performance.now();
    const { step, end } = this.#progress;
    await this.#parts.plan.store!.save(step, this.save());
    this.#stored = { step, end };
    return { type: 'checkpoint', step, seconds: secondsSince(begin) };
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
}

function secondsSince(begin: number): number {
  return (performance.now() - begin) / 1000;
}
