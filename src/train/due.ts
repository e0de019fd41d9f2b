/** What is due between two steps of a run: an evaluation, a checkpoint. Called by `loop.ts`. */
import type { Module } from '../nn/module.js';
import type { TrainerPlan } from './options.js';
import type { History, Progress } from './progress.js';

/** What of a plan says when. */
interface Times extends Pick<TrainerPlan<never, Module>, 'steps' | 'evaluateEvery' | 'store' | 'saveEvery'> {
  readonly evaluate: unknown;
}

/** The step, and the end, that a store's newest checkpoint has. */
export type Stored = Pick<Progress, 'step' | 'end'>;

/** Whether an evaluation is to be made before the next step. */
export function evaluationIsDue(plan: Times, progress: Progress, { evaluations }: History): boolean {
  const done = evaluations.at(-1)?.step === progress.step;
  return plan.evaluate !== null && !done && isDue(plan, progress, plan.evaluateEvery);
}

/** Whether a checkpoint is to be kept before the next step. @param ends - whether there will be none */
export function checkpointIsDue(
  plan: Times,
  progress: Progress,
  stored: Stored | null,
  ends: boolean,
): boolean {
  const { step, end } = progress;
  const kept = stored?.step === step && stored.end === end;
  return plan.store !== null && step > 0 && !kept && (ends || isDue(plan, progress, plan.saveEvery));
}

/** Whether something that comes every so many steps (null: every epoch; 0: never) comes behind the last one. */
function isDue({ steps }: Times, { step, batch }: Progress, every: number | null): boolean {
  if (every === 0 || step === 0) return false;
  return step >= steps || (every === null ? batch === 0 : step % every === 0);
}
