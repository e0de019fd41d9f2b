/** The options of a Trainer, checked and completed. */
import type { Module } from '../nn/module.js';
import { Optimizer } from '../optim/base.js';
import { type Schedule, type ScheduleKind, schedule } from '../optim/schedule.js';
import { checkBoolean, checkInteger, checkNumber, checkOptions, describe } from '../values/checks.js';
import { isPlainObject } from '../values/kind.js';
import { type Batches, type CheckedBatches, checkBatches } from './batches.js';
import type { LossFunction } from './loss.js';
import { type CheckpointStore, checkStore } from './store.js';

/** When an evaluation that brings nothing new ends a run. */
export interface EarlyStop {
  /** Evaluations in a row that are no better than the best: the last of so many ends the run. */
  readonly patience: number;
  /** By how much a value must be better to count. Default 0. */
  readonly minDelta?: number;
}

/** Options of a `Trainer`. */
export interface TrainerOptions<B, M extends Module> {
  /** The loss of a batch. */
  readonly loss: LossFunction<B, M>;
  /** Default: `AdamW` with PyTorch's defaults over every parameter that trains. */
  readonly optimizer?: Optimizer;
  /** What `optimizer.scaleLr` is given before each step: a kind, or a function of the step, counted from 0. Default: the rates stay as they are. */
  readonly schedule?: ScheduleKind | Schedule;
  /** Steps in which the rates rise, for a schedule given by its kind. Default 0. */
  readonly warmup?: number;
  /** Optimiser steps in all. Default: those of `epochs`. */
  readonly steps?: number;
  /** How often the data is gone through. Default 1 where `steps` is not given. */
  readonly epochs?: number;
  /** Batches whose gradients make one step; the last step of an epoch may have fewer. Default 1. */
  readonly accumulate?: number;
  /** The largest norm of all gradients together. Default none. */
  readonly clipNorm?: number | null;
  /** Whether each epoch has an order of its own. Default true. */
  readonly shuffle?: boolean;
  /** Seed of the orders, from 0 to 2^53 - 1. Default: the runtime's. */
  readonly seed?: number;
  /** Batches whose mean loss is looked at, or a function that gives a number, such as a share of right answers. */
  readonly evaluate?: Batches<B> | ((model: M) => number | Promise<number>);
  /** Steps from one evaluation to the next; 0 is never. Default: the end of each epoch. The last step has one always, unless it is 0. */
  readonly evaluateEvery?: number;
  /** Whether a larger value of the evaluation is better. Default false, as for a loss. */
  readonly greaterIsBetter?: boolean;
  /** Ends the run where evaluations are no longer better: how, or the patience alone. */
  readonly earlyStop?: EarlyStop | number;
  /** Whether the run ends with the parameters of the best evaluation. Default false: with those of the last step. */
  readonly keepBest?: boolean;
  /** Where checkpoints are kept. Default none. */
  readonly store?: CheckpointStore;
  /** Steps from one checkpoint to the next; 0 is only at the end. Default: the end of each epoch. The end of a run has one always. */
  readonly saveEvery?: number;
  /** Whether to go on from the store's newest checkpoint, where there is one; without it, a store that has one is refused. Default false. */
  readonly resume?: boolean;
  /** What else the numbers depend on, as JSON: a checkpoint with another value is refused. */
  readonly tags?: Readonly<Record<string, unknown>>;
  /** Told of what is odd but no error. Default `console.warn`. */
  readonly onWarning?: (message: string) => void;
}

const NAMES = [
  ...['loss', 'optimizer', 'schedule', 'warmup', 'steps', 'epochs', 'accumulate', 'clipNorm', 'shuffle'],
  ...['seed', 'evaluate', 'evaluateEvery', 'greaterIsBetter', 'earlyStop', 'keepBest', 'store', 'saveEvery'],
  ...['resume', 'tags', 'onWarning'],
];

/** @internal Options without gaps. */
export interface TrainerPlan<B, M extends Module> {
  readonly loss: LossFunction<B, M>;
  readonly optimizer: Optimizer | null;
  /** The factor of each step; null where the rates are the caller's. */
  readonly factor: Schedule | null;
  readonly steps: number;
  readonly stepsPerEpoch: number;
  readonly accumulate: number;
  readonly clipNorm: number | null;
  readonly shuffle: boolean;
  readonly seed: number;
  readonly evaluate: CheckedBatches<B> | ((model: M) => number | Promise<number>) | null;
  /** Steps; 0 is never, null the ends of epochs. */
  readonly evaluateEvery: number | null;
  readonly greaterIsBetter: boolean;
  readonly earlyStop: Required<EarlyStop> | null;
  readonly keepBest: boolean;
  readonly store: CheckpointStore | null;
  readonly saveEvery: number | null;
  readonly resume: boolean;
  readonly tags: Readonly<Record<string, unknown>>;
  readonly onWarning: (message: string) => void;
}

const MAX = Number.MAX_SAFE_INTEGER;

/** @param seed - the runtime's @throws TypeError, RangeError */
export function checkTrainerOptions<B, M extends Module>(
  where: string,
  options: TrainerOptions<B, M>,
  batches: CheckedBatches<B>,
  seed: number,
): TrainerPlan<B, M> {
  checkOptions(where, options, NAMES);
  const { loss, optimizer = null, onWarning = console.warn, tags = {} } = options;
  checkFunction(`${where}: loss`, loss);
  checkFunction(`${where}: onWarning`, onWarning);
  if (optimizer !== null && !(optimizer instanceof Optimizer))
    throw new TypeError(`${where}: optimizer is ${describe(optimizer)}, expected an SGD, Adam or AdamW`);
  if (!isPlainObject(tags)) throw new TypeError(`${where}: tags is ${describe(tags)}, expected an object`);
  const accumulate = checkInteger(`${where}: accumulate`, options.accumulate ?? 1, 1, MAX);
  const stepsPerEpoch = Math.ceil(batches.count / accumulate);
  const steps = stepsOf(where, options, stepsPerEpoch);
  const flag = (name: 'shuffle' | 'greaterIsBetter' | 'keepBest' | 'resume', otherwise: boolean): boolean =>
    checkBoolean(`${where}: ${name}`, options[name] ?? otherwise);
  const every = (name: 'evaluateEvery' | 'saveEvery'): number | null =>
    options[name] === undefined ? null : checkInteger(`${where}: ${name}`, options[name], 0, MAX);
  const plan: TrainerPlan<B, M> = {
    ...{ loss, optimizer, steps, stepsPerEpoch, accumulate, tags, onWarning },
    factor: factorOf(where, options, steps),
    clipNorm: clipOf(where, options.clipNorm ?? null),
    shuffle: flag('shuffle', true),
    seed: checkInteger(`${where}: seed`, options.seed ?? seed, 0, MAX),
    evaluate: evaluationOf(where, options.evaluate),
    evaluateEvery: every('evaluateEvery'),
    greaterIsBetter: flag('greaterIsBetter', false),
    earlyStop: earlyStopOf(where, options.earlyStop),
    keepBest: flag('keepBest', false),
    store: options.store === undefined ? null : checkStore(where, options.store),
    saveEvery: every('saveEvery'),
    resume: flag('resume', false),
  };
  checkTogether(where, plan);
  return plan;
}

/** @throws RangeError for options that need another one */
function checkTogether<B, M extends Module>(where: string, plan: TrainerPlan<B, M>): void {
  const evaluates = plan.evaluate !== null && plan.evaluateEvery !== 0;
  for (const [name, given] of [
    ['earlyStop', plan.earlyStop !== null],
    ['keepBest', plan.keepBest],
  ] as const)
    if (given && !evaluates)
      throw new RangeError(
        `${where}: ${name} without evaluations, expected evaluate, and evaluateEvery not 0`,
      );
  if (plan.resume && plan.store === null)
    throw new RangeError(`${where}: resume without a store, expected one`);
}

/** @throws TypeError, RangeError */
function stepsOf<B, M extends Module>(
  where: string,
  { steps, epochs }: TrainerOptions<B, M>,
  stepsPerEpoch: number,
): number {
  if (steps !== undefined && epochs !== undefined)
    throw new RangeError(
      `${where}: steps is ${describe(steps)} and epochs is ${describe(epochs)}, expected one of them`,
    );
  if (steps !== undefined) return checkInteger(`${where}: steps`, steps, 1, MAX);
  return checkInteger(`${where}: epochs`, epochs ?? 1, 1, 2 ** 31 - 1) * stepsPerEpoch;
}

/** @throws TypeError, RangeError */
function factorOf<B, M extends Module>(
  where: string,
  { schedule: given, warmup }: TrainerOptions<B, M>,
  steps: number,
): Schedule | null {
  if (typeof given === 'function' && warmup === undefined) return given;
  if (warmup === undefined && given === undefined) return null;
  if (typeof given === 'function')
    throw new RangeError(`${where}: warmup with a schedule of your own, expected it in the function`);
  const rise = checkInteger(`${where}: warmup`, warmup ?? 0, 0, steps);
  try {
    return schedule(given ?? 'constant', steps, rise);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new TypeError(
      `${where}: schedule is ${describe(given)}, expected 'constant', 'linear', 'cosine' or a function`,
    );
  }
}

function clipOf(where: string, clipNorm: unknown): number | null {
  return clipNorm === null ? null : checkNumber(`${where}: clipNorm`, clipNorm, 0, Number.MAX_VALUE);
}

/** @throws TypeError, RangeError */
function evaluationOf<B, M extends Module>(
  where: string,
  given: TrainerOptions<B, M>['evaluate'],
): TrainerPlan<B, M>['evaluate'] {
  if (given === undefined || typeof given === 'function') return given ?? null;
  return checkBatches(`${where}: evaluate`, given);
}

/** @throws TypeError, RangeError */
function earlyStopOf(where: string, given: EarlyStop | number | undefined): Required<EarlyStop> | null {
  if (given === undefined) return null;
  const stop = typeof given === 'number' ? { patience: given } : given;
  checkOptions(`${where}: earlyStop`, stop, ['patience', 'minDelta']);
  return {
    patience: checkInteger(`${where}: earlyStop: patience`, stop.patience, 1, MAX),
    minDelta: checkNumber(`${where}: earlyStop: minDelta`, stop.minDelta ?? 0, 0, Number.MAX_VALUE),
  };
}

function checkFunction(where: string, value: unknown): void {
  if (typeof value !== 'function') throw new TypeError(`${where} is ${describe(value)}, expected a function`);
}
