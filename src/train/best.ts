/** Which evaluation of a run is the best, and when no better one is to be expected. */
import type { Module } from '../nn/module.js';
import type { TrainerPlan } from './options.js';

/** Where a run stands with its evaluations; JSON holds it. */
export interface BestState {
  /** The best so far; null before the first. */
  readonly best: { readonly step: number; readonly value: number } | null;
  /** The value that the next one has to be better than, by `minDelta`, to be worth waiting for more. */
  readonly mark: number | null;
  /** Evaluations in a row that were not. */
  readonly stale: number;
}

/** Before the first evaluation. */
export const UNJUDGED: BestState = { best: null, mark: null, stale: 0 };

type Judge = Pick<TrainerPlan<never, Module>, 'greaterIsBetter' | 'earlyStop'>;

/** Takes an evaluation in. */
export function judged(
  judge: Judge,
  { best, mark, stale }: BestState,
  step: number,
  value: number,
): BestState {
  const moved = gain(judge, mark, value) > (judge.earlyStop?.minDelta ?? 0);
  return {
    best: gain(judge, best?.value ?? null, value) > 0 ? { step, value } : best,
    mark: moved ? value : mark,
    stale: moved ? 0 : stale + 1,
  };
}

/** Whether the run is to end. */
export function isExhausted({ earlyStop }: Pick<Judge, 'earlyStop'>, { stale }: BestState): boolean {
  return earlyStop !== null && stale >= earlyStop.patience;
}

/** By how much a value is better than another one, or than none. */
function gain({ greaterIsBetter }: Judge, than: number | null, value: number): number {
  if (than === null) return Number.POSITIVE_INFINITY;
  return greaterIsBetter ? value - than : than - value;
}
