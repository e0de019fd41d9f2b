/** How far a run is, and what it has seen: all that a checkpoint holds beside weights, moments and random numbers. */
import { type BestState, UNJUDGED } from './best.js';
import type { EvalRecord, StepRecord, TrainEnd } from './events.js';

export interface Progress {
  /** Optimiser steps so far. */
  readonly step: number;
  /** The epoch and the batch in it that come next. */
  readonly epoch: number;
  readonly batch: number;
  /** Examples or unmasked tokens so far. */
  readonly counted: number;
  /** Whether a step has been seen to change something that trains: only the first that could is looked at, in all programs together. */
  readonly learns: boolean;
  /** Why the run is over; null while it is not. */
  readonly end: Exclude<TrainEnd, 'aborted'> | null;
  readonly best: BestState;
}

/** Records of all steps and evaluations; a run adds to it. */
export interface History {
  readonly steps: StepRecord[];
  readonly evaluations: EvalRecord[];
}

/** A run before its first step. */
export const START: Progress = {
  ...{ step: 0, epoch: 0, batch: 0, counted: 0, learns: false, end: null },
  best: UNJUDGED,
};

/** Numbers of steps by column: shorter than a record for each. */
interface Columns {
  readonly epoch: readonly number[];
  readonly loss: readonly number[];
  readonly count: readonly number[];
  readonly lr: readonly number[];
  readonly gradNorm: readonly number[];
}

/** Both as JSON holds them. */
export interface ProgressJson extends Progress {
  readonly steps: Columns;
  readonly evaluations: readonly EvalRecord[];
}

export function progressJson(progress: Progress, { steps, evaluations }: History): ProgressJson {
  const column = (name: keyof Columns): number[] => steps.map((record) => record[name]);
  return {
    ...progress,
    steps: {
      ...{ epoch: column('epoch'), loss: column('loss'), count: column('count') },
      ...{ lr: column('lr'), gradNorm: column('gradNorm') },
    },
    evaluations,
  };
}

/** Progress and history out of what JSON gave; null where it is none. */
export function readProgress(json: unknown): { progress: Progress; history: History } | null {
  if (json === null || typeof json !== 'object') return null;
  const { step, epoch, batch, counted, learns, end, best, ...more } = json as Partial<
    Record<keyof ProgressJson, unknown>
  >;
  const { evaluations } = more;
  const steps = readSteps(more.steps);
  const whole = [step, epoch, batch].every((value) => Number.isSafeInteger(value) && Number(value) >= 0);
  if (!whole || steps === null || steps.length !== step || typeof counted !== 'number') return null;
  if (typeof learns !== 'boolean') return null;
  if (end !== null && end !== 'finished' && end !== 'early-stop') return null;
  if (!isBest(best) || !Array.isArray(evaluations) || !evaluations.every(isEvaluation)) return null;
  return {
    progress: { step, epoch: Number(epoch), batch: Number(batch), counted, learns, end, best },
    history: { steps, evaluations },
  };
}

function readSteps(json: unknown): StepRecord[] | null {
  if (json === null || typeof json !== 'object') return null;
  const names = ['epoch', 'loss', 'count', 'lr', 'gradNorm'] as const;
  const columns: unknown[] = names.map((name) => Reflect.get(json, name));
  if (!columns.every(areNumbers)) return null;
  const [epoch, loss, count, lr, gradNorm] = columns as [number[], number[], number[], number[], number[]];
  if (columns.some((column) => column.length !== epoch.length)) return null;
  return epoch.map((_, i) => ({
    ...{ step: i + 1, epoch: epoch[i]!, loss: loss[i]!, count: count[i]! },
    ...{ lr: lr[i]!, gradNorm: gradNorm[i]! },
  }));
}

function areNumbers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'number');
}

function isBest(value: unknown): value is BestState {
  if (value === null || typeof value !== 'object') return false;
  const { best, mark, stale } = value as Partial<Record<keyof BestState, unknown>>;
  return (
    (mark === null || typeof mark === 'number') &&
    Number.isSafeInteger(stale) &&
    (best === null || (typeof best === 'object' && hasNumbers(best, ['step', 'value'])))
  );
}

function isEvaluation(value: unknown): value is EvalRecord {
  return hasNumbers(value, ['step', 'value']) && typeof Reflect.get(value, 'best') === 'boolean';
}

function hasNumbers(value: unknown, names: readonly string[]): value is object {
  if (value === null || typeof value !== 'object') return false;
  return names.every((name) => typeof Reflect.get(value, name) === 'number');
}
