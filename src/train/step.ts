/**
 * One optimiser step: batches in their order, their gradients, clipping, the move. After an error the run is as before the
 * step. Called by `loop.ts`.
 */
import { yieldToEvents } from '../engine/yield.js';
import type { MaskCounter } from '../nn/mask-counter.js';
import type { Module } from '../nn/module.js';
import { clipGradNorm } from '../optim/clip.js';
import { alone } from './alone.js';
import { epochOrder, rowsOf } from './batches.js';
import type { StepRecord } from './events.js';
import { FirstStep } from './learnt.js';
import { checkLoss } from './loss.js';
import type { Parts } from './parts.js';
import type { Progress } from './progress.js';
import { masksIn, RandomPlace } from './random-place.js';
import { trainedIn } from './weights.js';
import { GradientWindow, type Named } from './window.js';

const WHERE = 'Trainer.run';

export class Stepper<B, M extends Module> {
  readonly #parts: Parts<B, M>;
  readonly #warn: (message: string) => void;
  /** The order of one epoch. */
  #order: { readonly epoch: number; readonly rows: Uint32Array } | null = null;
  readonly #named: Named;
  readonly #masks: readonly MaskCounter[];
  #warned = false;

  constructor(parts: Parts<B, M>, warn: (message: string) => void) {
    this.#parts = parts;
    this.#warn = warn;
    this.#named = trainedIn(parts.model);
    this.#masks = masksIn(parts.model);
  }

  /** @returns the step, and how far the run is then @throws TrainingError; what the loss function throws */
  run(progress: Progress): Promise<{ readonly record: StepRecord; readonly progress: Progress }> {
    const where = `${WHERE}: step ${progress.step + 1}`;
    return alone(where, 'step', this.#named, () => this.#run(progress));
  }

  async #run(progress: Progress): Promise<{ readonly record: StepRecord; readonly progress: Progress }> {
    const { epoch, batch } = progress;
    const named = this.#named;
    const { runtime, batches, plan, optimizer } = this.#parts;
    const random = new RandomPlace(runtime, this.#masks);
    const rates = optimizer.lrs;
    const last = Math.min(batch + plan.accumulate, batches.count);
    forget(named);
    try {
      if (plan.factor !== null) optimizer.scaleLr(plan.factor(progress.step));
      const window = new GradientWindow(WHERE, progress.step + 1, named, last - batch === 1);
      for (let i = batch; i < last; i++) await this.#add(window, epoch, i);
      const { record, learns } = this.#move(window, progress);
      const ends = last === batches.count;
      const next = {
        ...progress,
        ...{ step: record.step, counted: progress.counted + window.total, learns },
        ...{ epoch: ends ? epoch + 1 : epoch, batch: ends ? 0 : last },
      };
      return { record, progress: next };
    } catch (error) {
      random.putBack();
      optimizer.restoreRates(WHERE, rates);
      throw error;
    } finally {
      forget(named);
    }
  }

  /** Forward and backward of a batch, and a turn for events. */
  async #add(window: GradientWindow, epoch: number, index: number): Promise<void> {
    const { runtime, model, batches, plan } = this.#parts;
    const batch = await batches.batch(rowsOf(batches, this.#orderOf(epoch), index));
    runtime.scope(() => window.add(checkLoss(WHERE, plan.loss(batch, model))));
    await yieldToEvents();
  }

  /** Moves the parameters by the gradients of the window; where nothing counted, nothing. */
  #move(
    window: GradientWindow,
    { step, epoch, learns }: Progress,
  ): { readonly record: StepRecord; readonly learns: boolean } {
    const named = this.#named;
    const { model, plan, optimizer } = this.#parts;
    window.divide();
    const parameters = named.map(([, parameter]) => parameter);
    const gradNorm = clipGradNorm(parameters, plan.clipNorm ?? Number.POSITIVE_INFINITY);
    window.checkNorm(gradNorm);
    const moves = window.total > 0 && optimizer.lrs.some((rate) => rate > 0);
    if (window.total > 0) {
      const first = moves && !learns ? new FirstStep(model, named, optimizer) : null;
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
    const { batches, plan } = this.#parts;
    if (!plan.shuffle) return null;
    if (this.#order?.epoch !== epoch)
      this.#order = { epoch, rows: epochOrder(batches.rows, plan.seed, epoch) };
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
