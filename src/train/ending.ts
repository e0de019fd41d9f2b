/** The end of a run: when it has come, and what there is to do then. Called by `loop.ts`. */
import type { Module } from '../nn/module.js';
import { isExhausted } from './best.js';
import { readBest } from './checkpoint.js';
import { TrainingError } from './errors.js';
import type { TrainerPlan } from './options.js';
import type { Progress } from './progress.js';
import { trainedIn } from './weights.js';
import { firstNotFinite } from './window.js';

/** Why a run is over; null while it is not. */
export function endOf(
  plan: Pick<TrainerPlan<never, Module>, 'steps' | 'earlyStop'>,
  { step, best }: Progress,
): Progress['end'] {
  if (step >= plan.steps) return 'finished';
  return isExhausted(plan, best) ? 'early-stop' : null;
}

/**
 * Gives the model its best parameters, where they were kept.
 * @param best - the parameters of the best evaluation, as a file
 * @throws TrainingError where nothing counted, or what was learnt is not finite
 */
export function finish(
  where: string,
  model: Module,
  { step, counted }: Progress,
  best: Uint8Array | null,
): void {
  if (counted === 0)
    throw new TrainingError(`${where}: nothing counted in ${step} steps, expected an unmasked example`, step);
  if (best !== null) for (const [parameter, values] of readBest(where, model, best)) parameter.write(values);
  const wrong = firstNotFinite(trainedIn(model));
  if (wrong !== null)
    throw new TrainingError(`${where}: after step ${step}: ${wrong}, expected finite parameters`, step);
}
