/**
 * Evaluations of a run: the value over batches or by a function. Nothing that trains, and no random number that training has,
 * depends on whether one is made.
 */
import { yieldToEvents } from '../engine/yield.js';
import type { Module } from '../nn/module.js';
import type { Runtime } from '../tensor/runtime.js';
import { describe } from '../values/checks.js';
import type { HostAbortSignal } from '../values/globals.js';
import { alone } from './alone.js';
import { type CheckedBatches, rowsOf } from './batches.js';
import { TrainingError } from './errors.js';
import { checkLoss } from './loss.js';
import type { Parts } from './parts.js';
import { masksIn, RandomPlace } from './random-place.js';
import { trainedIn } from './weights.js';

/**
 * The value of a model in evaluation mode, null where the signal ended it between two batches; modes and random numbers are as before.
 * @throws TypeError, RangeError, TrainingError
 */
export function evaluated<B, M extends Module>(
  where: string,
  parts: Parts<B, M>,
  step: number,
  signal?: HostAbortSignal,
): Promise<number | null> {
  return alone(where, 'evaluation', trainedIn(parts.model), () => valueNow(where, parts, step, signal));
}

async function valueNow<B, M extends Module>(
  where: string,
  { runtime: rt, model, plan: { evaluate, loss } }: Parts<B, M>,
  step: number,
  signal: HostAbortSignal | undefined,
): Promise<number | null> {
  const modes = new Modes(model);
  const random = new RandomPlace(rt, masksIn(model));
  model.eval();
  try {
    const value =
      typeof evaluate === 'function'
        ? await evaluate(model)
        : await meanLoss(where, rt, evaluate!, (batch) => loss(batch, model), signal);
    if (value === null) return null;
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
  signal: HostAbortSignal | undefined,
): Promise<number | null> {
  let [sum, total] = [0, 0];
  for (let i = 0; i < batches.count; i++) {
    if (signal?.aborted === true) return null;
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
