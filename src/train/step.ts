/**
 * One optimiser step: batches in their order, their gradients, clipping, the move. After an error the run is as before the
 * step. Called by `trainer.ts`.
 */
import { yieldToEvents } from '../engine/yield.js';
import type { MaskCounter } from '../nn/mask-counter.js';
import type { Module } from '../nn/module.js';
import type { Optimizer } from '../optim/base.js';
import { clipGradNorm } from '../optim/clip.js';
import type { Runtime } from '../tensor/runtime.js';
import { type CheckedBatches, epochOrder, rowsOf } from './batches.js';
import type { StepRecord } from './events.js';
import { FirstStep } from './learnt.js';
import { checkLoss } from './loss.js';
import type { TrainerPlan } from './options.js';
import type { Progress } from './progress.js';
import { masksIn, RandomPlace } from './random-place.js';
import { trainedIn } from './weights.js';
import { GradientWindow, type Named } from './window.js';

const WHERE = 'Trainer.run';

export class Stepper<B, M extends Module> {
  readonly #runtime: Runtime;
  readonly #model: M;
  readonly #batches: CheckedBatches<B>;
  readonly #plan: TrainerPlan<B, M>;
  readonly #optimizer: Optimizer;
  readonly #warn: (message: string) => void;
  /** The order of one epoch. */
  #order: { readonly epoch: number; readonly rows: Uint32Array } | null = null;
  readonly #named: Named;
  readonly #masks: readonly MaskCounter[];
  #warned = false;

  constructor(
    {
      runtime,
      model,
      optimizer,
    }: { readonly runtime: Runtime; readonly model: M; readonly optimizer: Optimizer },
    batches: CheckedBatches<B>,
    plan: TrainerPlan<B, M>,
    warn: (message: string) => void,
  ) {
    this.#runtime = runtime;
    this.#model = model;
    this.#optimizer = optimizer;
    this.#batches = batches;
    this.#plan = plan;
    this.#warn = warn;
    this.#named = trainedIn(model);
    this.#masks = masksIn(model);
  }

  /** @returns the step, and how far the run is then @throws TrainingError; what the loss function throws */
  async run(progress: Progress): Promise<{ readonly record: StepRecord; readonly progress: Progress }> {
    const { epoch, batch } = progress;
    const named = this.#named;
    const random = new RandomPlace(this.#runtime, this.#masks);
    const rates = this.#optimizer.lrs;
    const last = Math.min(batch + this.#plan.accumulate, this.#batches.count);
    forget(named);
    try {
      if (this.#plan.factor !== null) this.#optimizer.scaleLr(this.#plan.factor(progress.step));
      const window = new GradientWindow(WHERE, progress.step + 1, named, last - batch === 1);
      for (let i = batch; i < last; i++) await this.#add(window, epoch, i);
      const { record, learns } = this.#move(window, progress);
      const ends = last === this.#batches.count;
      const next = {
        ...progress,
        ...{ step: record.step, counted: progress.counted + window.total, learns },
        ...{ epoch: ends ? epoch + 1 : epoch, batch: ends ? 0 : last },
      };
      return { record, progress: next };
    } catch (error) {
      random.putBack();
      this.#optimizer.restoreRates(WHERE, rates);
      throw error;
    } finally {
      forget(named);
    }
  }

  /** Forward and backward of a batch, and a turn for events. */
  async #add(window: GradientWindow, epoch: number, index: number): Promise<void> {
    const batch = await this.#batches.batch(rowsOf(this.#batches, this.#orderOf(epoch), index));
    this.#runtime.scope(() => window.add(checkLoss(WHERE, this.#plan.loss(batch, this.#model))));
    await yieldToEvents();
  }

  /** Moves the parameters by the gradients of the window; where nothing counted, nothing. */
  #move(
    window: GradientWindow,
    { step, epoch, learns }: Progress,
  ): { readonly record: StepRecord; readonly learns: boolean } {
    const named = this.#named;
    const optimizer = this.#optimizer;
    window.divide();
    const parameters = named.map(([, parameter]) => parameter);
    const gradNorm = clipGradNorm(parameters, this.#plan.clipNorm ?? Number.POSITIVE_INFINITY);
    window.checkNorm(gradNorm);
    const moves = window.total > 0 && optimizer.lrs.some((rate) => rate > 0);
    if (window.total > 0) {
      const first = moves && !learns ? new FirstStep(this.#model, named, optimizer) : null;
      optimizer.step();
      first?.check(WHERE, step + 1);
      if (!moves) this.#warnOnce(`${WHERE}: step ${step + 1}: every learning rate is 0, nothing is learnt`);
    }
    const { loss, total } = window;
    const record = { step: step + 1, epoch, loss, count: total, lr: optimizer.lr, gradNorm };
    return { record, learns: learns || moves };
  }

  #warnOnce(message: string): void {
    if (!this.#warned) this.#warn(message);
    this.#warned = true;
  }

  #orderOf(epoch: number): Uint32Array | null {
    if (!this.#plan.shuffle) return null;
    if (this.#order?.epoch !== epoch)
      this.#order = { epoch, rows: epochOrder(this.#batches.rows, this.#plan.seed, epoch) };
    return this.#order.rows;
  }
}

/** Forgets the gradients of everything that trains, in the optimiser or not. */
function forget(named: Named): void {
  for (const [, parameter] of named) {
    parameter.grad?.dispose();
    parameter.grad = null;
  }
}
