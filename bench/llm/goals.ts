/**
 * What the package promises of a language model and its kernels, held against the rows of a run. Every figure is that of the best
 * round, of all processes; a ratio is one of two rows' best rounds.
 */
import { type Goal, goalOf } from '../core/goal.js';
import { PACKAGE, type Report, type ResidentJob, type Row } from '../core/records.js';
import { ATTENTION, attentionShape } from './attention.js';
import { PLAIN, STORED } from './contestants.js';
import { FULL, GENERATION, PROMPT } from './model.js';
import { GRADIENT, headShape, kindShape, layerShape, nameOf, type Operation, PRODUCT } from './products.js';
import { layerKinds, SMOLLM2 } from './sizes.js';
import { PYTORCH, TRAINED, TRAINING } from './training.js';
import {
  bestPercent,
  type CeilingRow,
  hasCeilings,
  isModelRow,
  type ModelRow,
  modelShape,
  modelTitle,
  speedsOf,
} from './turns.js';

/** Of float32's speed: over a layer's matrices, and at the least over those of one kind. */
const SPEEDS: readonly (readonly [Operation, M: number, all: number, each: number | null])[] = [
  [PRODUCT, 256, 0.98, null],
  [PRODUCT, 64, 1, null],
  [PRODUCT, 32, 1, null],
  [GRADIENT, 256, 0.97, 0.95],
  [GRADIENT, 32, 0.95, 0.9],
];
const TOKEN_SPEED = 1.15;
/** Percent of the fused ceiling at T = 256. */
const ATTENTION_PERCENT = 60;

/** Tokens of a row. */
const TOKENS = { [TRAINING]: TRAINED, [PROMPT]: FULL.read, [GENERATION]: FULL.written } as const;
/** Least speed of float32's. */
const MODEL_SPEEDS = { [TRAINING]: 0.97, [PROMPT]: 0.93 } as const;
/** Percent of the fused ceiling by threads: by relaxed kernels of their own rounds', else of what a newer engine reaches on this machine. */
const PERCENTS = {
  [TRAINING]: { relaxed: { 1: 73, 2: 65 }, plain: { 1: 58 } },
  [PROMPT]: { relaxed: { 1: 76, 2: 68 }, plain: { 1: 60 } },
} as const;
/** Least speed of native PyTorch's with PEFT on as many threads. */
const NATIVE_SPEEDS = { 1: 0.37, 2: 0.42 } as const;
/** How many times as fast a step is on two threads as on one. */
const TWO_THREADS = 1.75;
const GENERATION_PERCENT = 22;
/** Tokens a second of plain kernels where the fused ceiling is so many GFLOP/s. */
const PLAIN_GENERATION = { tokens: 35, ceiling: 59 } as const;
const RESIDENT: readonly (readonly [job: ResidentJob, what: string, MB: number])[] = [
  ['generation', 'reads 256 tokens and writes 64', 350],
  ['training', 'trains', 700],
  ['training with checkpointing', 'trains with checkpointing', 450],
];

type Measured = Pick<Report, 'rows' | 'ceilings' | 'peakResident'>;

export function llmGoals(measured: Measured): Goal[] {
  const { rows, ceilings, peakResident } = measured;
  const all = rows.filter(isModelRow);
  const models = all.filter(({ contestant }) => contestant === PACKAGE);
  // What single kernels are to reach is said of the relaxed build.
  const plain = rows.some(({ kernels }) => kernels === 'simd');
  return [
    ...(plain ? [] : [...productGoals(rows), attentionGoal(rows, ceilings.fused)]),
    ...stepGoals(models, ceilings.fused),
    ...Object.entries(NATIVE_SPEEDS).map(([threads, least]) => {
      const native = all.find((row) => row.contestant === PYTORCH && row.threads === Number(threads));
      const speed = speedBeside(rowOf(models, TRAINING, Number(threads)), native);
      return atLeast(`training, threads: ${threads}, of the speed of PyTorch with PEFT`, speed, least, '', 3);
    }),
    generationGoal(rowOf(models, GENERATION, 1), models[0]?.kernels !== 'simd', ceilings.fused),
    ...RESIDENT.map(([job, what, most]) => residentGoal(what, peakResident?.[job], most)),
  ];
}

function productGoals(rows: readonly Row[]): Goal[] {
  const find = (operation: string, shape: string): Row | undefined =>
    rows.find((row) => row.operation === operation && row.shape === shape);
  const speedOf = (operation: Operation, shape: string): number | null =>
    speedBeside(find(nameOf(operation, 'stored'), shape), find(nameOf(operation, 'plain'), shape));
  const goals = SPEEDS.flatMap(([operation, M, all, each]): Goal[] => {
    const what = `${operation} of ${M} rows`;
    const whole = ofFloat32(what, speedOf(operation, layerShape(M)), all);
    if (each === null) return [whole];
    const speeds = layerKinds(SMOLLM2).flatMap((kind) => speedOf(operation, kindShape(M, kind)) ?? []);
    const worst = speeds.length === 0 ? null : Math.min(...speeds);
    return [whole, ofFloat32(`${what}, the slowest kind of matrix`, worst, each)];
  });
  return [...goals, ofFloat32('one row over all matrices', tokenSpeed(find), TOKEN_SPEED)];
}

/** How many times as fast the best round of one row is as that of another. */
function speedBeside(row: Row | undefined, other: Row | undefined): number | null {
  return row === undefined || other === undefined ? null : other.min / row.min;
}

function ofFloat32(what: string, speed: number | null, least: number): Goal {
  return atLeast(`${what}, of float32's speed`, speed, least, '', 3);
}

/** All layers and the head. */
function tokenSpeed(find: (operation: string, shape: string) => Row | undefined): number | null {
  const timeOf = (form: 'stored' | 'plain'): number | null => {
    const name = nameOf(PRODUCT, form);
    const [layer, head] = [find(name, layerShape(1)), find(name, headShape(1))];
    return layer === undefined || head === undefined ? null : SMOLLM2.numHiddenLayers * layer.min + head.min;
  };
  const [stored, plain] = [timeOf('stored'), timeOf('plain')];
  return stored === null || plain === null ? null : plain / stored;
}

function attentionGoal(rows: readonly Row[], fused: number | null): Goal {
  const row = rows.find(({ operation, shape }) => operation === ATTENTION && shape === attentionShape(256));
  const percent = row !== undefined && hasCeilings(row) ? shareOf(row, fused) : null;
  return atLeast(`${ATTENTION} of 256 positions, of the fused ceiling`, percent, ATTENTION_PERCENT, '%');
}

function rowOf(
  rows: readonly ModelRow[],
  operation: keyof typeof TOKENS,
  threads: number,
  weights: string = STORED,
): ModelRow | undefined {
  const [title, shape] = [modelTitle(operation, weights), modelShape(TOKENS[operation], threads)];
  return rows.find((row) => row.operation === title && row.shape === shape);
}

/** Of steps of training, and of prompts. */
function stepGoals(rows: readonly ModelRow[], fused: number | null): Goal[] {
  const build = rows[0]?.kernels === 'simd' ? 'plain' : 'relaxed';
  const goals = ([TRAINING, PROMPT] as const).flatMap((operation) => [
    ...Object.entries(PERCENTS[operation][build]).map(([threads, least]) => {
      const row = rowOf(rows, operation, Number(threads));
      const goal = `${operation}, threads: ${threads}, of the fused ceiling`;
      return atLeast(goal, row && shareOf(row, fused), least, '%');
    }),
    ofFloat32(
      operation,
      speedBeside(rowOf(rows, operation, 1), rowOf(rows, operation, 1, PLAIN)),
      MODEL_SPEEDS[operation],
    ),
  ]);
  return [...goals, scalingGoal(rowOf(rows, TRAINING, 1), rowOf(rows, TRAINING, 2))];
}

/** Of two threads, beside what the machine gave the register-only loops of the ceiling in the same two rounds. */
function scalingGoal(one: ModelRow | undefined, two: ModelRow | undefined): Goal {
  const goal = atLeast(
    `${TRAINING}, two threads, of the speed of one`,
    speedBeside(two, one),
    TWO_THREADS,
    '',
    2,
  );
  if (one === undefined || two === undefined || goal.measured === null) return goal;
  const [alone, both] = [one, two].map(({ ceilings, rounds, min }) => ceilings[rounds.indexOf(min)]!);
  return { ...goal, measured: `${goal.measured}; the ceiling's loops ${(both! / alone!).toFixed(2)}` };
}

function generationGoal(row: ModelRow | undefined, relaxed: boolean, fused: number | null): Goal {
  const goal = 'generation, threads: 1';
  if (relaxed)
    return atLeast(`${goal}, of the fused ceiling`, row && shareOf(row, fused), GENERATION_PERCENT, '%');
  const { tokens, ceiling } = PLAIN_GENERATION;
  const speed = row === undefined || fused === null ? null : (Math.max(...speedsOf(row)) * ceiling) / fused;
  return atLeast(`${goal}, were the fused ceiling ${ceiling} GFLOP/s`, speed, tokens, 'tokens a second');
}

/** Percent of the fused ceiling by the best round; null where it was not measured. */
function shareOf(row: CeilingRow, fused: number | null): number | null {
  if (row.kernels === 'relaxed-simd') return bestPercent(row);
  return fused === null ? null : (100 * row.gflops * row.median) / row.min / (fused * row.threads);
}

function atLeast(
  goal: string,
  value: number | null | undefined,
  least: number,
  unit: string,
  digits = 1,
): Goal {
  const measured = value == null ? null : `${value.toFixed(digits)} ${unit}`.trim();
  const result = measured === null ? null : { measured, met: value! >= least };
  return goalOf(goal, `at least ${least} ${unit}`.trim(), result);
}

function residentGoal(what: string, bytes: number | undefined, most: number): Goal {
  return goalOf(
    `most memory of a process that ${what}`,
    `at most ${most} MB`,
    bytes === undefined ? null : { measured: `${(bytes / 1e6).toFixed(0)} MB`, met: bytes <= 1e6 * most },
  );
}
