/**
 * Evaluations of a run: the value over batches or by a function, which of them is the best, and when no better one is to be
 * expected. Nothing that trains, and no random number that training has, depends on whether one is made.
 */

import { yieldToEvents } from '../engine/yield.js';
import type { Module } from '../nn/module.js';
import type { Runtime } from '../tensor/runtime.js';
import { describe } from '../values/checks.js';
import { type CheckedBatches, rowsOf } from './batches.js';
import { TrainingError } from './errors.js';
import { checkLoss } from './loss.js';
import type { TrainerPlan } from './options.js';
import { masksIn, RandomPlace } from './random-place.js';

/** The value of a model in evaluation mode; modes and random numbers are as before. @throws TypeError, RangeError, TrainingError */
export async function evaluated<B, M extends Module>(
  where: string,
  rt: Runtime,
  model: M,
  { evaluate, loss }: TrainerPlan<B, M>,
  step: number,
): Promise<number> {
  const modes = new Modes(model);
  const random = new RandomPlace(rt, masksIn(model));
  model.eval();
  try {
    const value =
      typeof evaluate === 'function'
        ? await evaluate(model)
        : await meanLoss(where, rt, evaluate!, (batch) => loss(batch, model));
    if (typeof value !== 'number')
      throw new TypeError(`${where}: evaluate gave ${describe(value)}, expected a number`);
    if (!Number.isFinite(value))
      throw new TrainingError(
        `${where}: step ${step}: the evaluation gave ${value}, expected a finite number`,
        step,
      );
    return value;
  } finally {
    modes.putBack();
    random.putBack();
  }
}

async function meanLoss<B>(
  where: string,
  rt: Runtime,
  batches: CheckedBatches<B>,
  lossOf: (batch: B) => unknown,
): Promise<number> {
  let [sum, total] = [0, 0];
  for (let i = 0; i < batches.count; i++) {
    const batch = await batches.batch(rowsOf(batches, null, i));
    const [value, count] = rt.scope(() =>
      rt.noGrad(() => {
        const { tensor, count, isSum } = checkLoss(where, lossOf(batch));
        return [count === 0 ? 0 : isSum ? tensor.item() : tensor.item() * count, count] as const;
      }),
    );
    sum += value;
    total += count;
    await yieldToEvents();
  }
  if (total === 0)
    throw new RangeError(
      `${where}: evaluate has nothing that counts, expected at least one unmasked example`,
    );
  return sum / total;
}

/** The modes of all modules of a model. */
export class Modes {
  readonly #modes: readonly { readonly module: Module; readonly training: boolean }[];

  constructor(model: Module) {
    this.#modes = model.namedModules().map(([, module]) => ({ module, training: module.training }));
  }

  putBack(): void {
    for (const { module, training } of this.#modes) module.setMode(training);
  }
}

/** Where a run stands with its evaluations; JSON holds it. */
export interface BestState {
  /** The best so far; null before the first. */
  readonly best: { readonly step: number; readonly value: number } | null;
  /** The value that the next one has to be better than, by `minDelta`, to be worth waiting for more. */
  readonly mark: number | null;
  /** Evaluations in a row that were not. */
  readonly stale: number;
}

/** The best evaluation so far, and how many came after it that were no better. */
export class Best {
  readonly #plan: Pick<TrainerPlan<never, Module>, 'greaterIsBetter' | 'earlyStop'>;
  state: BestState = { best: null, mark: null, stale: 0 };

  constructor(plan: Pick<TrainerPlan<never, Module>, 'greaterIsBetter' | 'earlyStop'>) {
    this.#plan = plan;
  }

  /** Takes an evaluation in; true where it is the best. */
  take(step: number, value: number): boolean {
    const { best, mark, stale } = this.state;
    const moved = this.#gain(mark, value) > (this.#plan.earlyStop?.minDelta ?? 0);
    const better = this.#gain(best?.value ?? null, value) > 0;
    this.state = {
      best: better ? { step, value } : best,
      mark: moved ? value : mark,
      stale: moved ? 0 : stale + 1,
    };
    return better;
  }

  /** Whether the run is to end. */
  get exhausted(): boolean {
    const { earlyStop } = this.#plan;
    return earlyStop !== null && this.state.stale >= earlyStop.patience;
  }

  /** By how much a value is better than another one, or than none. */
  #gain(than: number | null, value: number): number {
    if (than === null) return Number.POSITIVE_INFINITY;
    return this.#plan.greaterIsBetter ? value - than : than - value;
  }
}
