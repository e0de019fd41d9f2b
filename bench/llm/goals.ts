/** What the package promises of a language model's kernels, held against the rows of a run. */
import { atMost, type Goal } from '../core/goal.js';
import { pairedRatios, summarise, type Timing } from '../core/measure.js';
import type { Report, Row } from '../core/records.js';
import { ATTENTION, attentionShape } from './attention.js';
import {
  FULL,
  GENERATION,
  isModelRow,
  type ModelRow,
  modelShape,
  modelTitle,
  PLAIN,
  PROMPT,
  percentsOf,
  STORED,
  speedsOf,
} from './model.js';
import { GRADIENT, headShape, kindShape, layerShape, nameOf, type Operation, PRODUCT } from './products.js';
import { layerKinds, SMOLLM2 } from './weights.js';

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

/** Least speed of a prompt, of float32's. */
const PROMPT_SPEED = 0.93;
/** Percent of the fused ceiling: by relaxed kernels of their own rounds', else of what a newer engine reaches on this machine. */
const PROMPT_PERCENT = { relaxed: { 1: 76, 2: 68 }, plain: { 1: 60 } } as const;
const GENERATION_PERCENT = 22;
/** Tokens a second of plain kernels where the fused ceiling is so many GFLOP/s. */
const PLAIN_GENERATION = { tokens: 35, ceiling: 59 } as const;
const RESIDENT_MB = 350;

type Measured = Pick<Report, 'rows' | 'ceilings' | 'peakResident'>;

export function llmGoals({ rows, ceilings, peakResident }: Measured): Goal[] {
  const find = (operation: string, shape: string): Row | undefined =>
    rows.find((row) => row.operation === operation && row.shape === shape);
  const ratioOf = (operation: Operation, shape: string): Timing | null => {
    const [stored, plain] = [
      find(nameOf(operation, 'stored'), shape),
      find(nameOf(operation, 'plain'), shape),
    ];
    return stored === undefined || plain === undefined ? null : pairedRatios(stored, plain);
  };
  const goals = SPEEDS.flatMap(([operation, M, all, each]): Goal[] => {
    const whole = atMost(
      `${operation} of ${M} rows, times of float32's time`,
      ratioOf(operation, layerShape(M)),
      limitOf(all),
    );
    if (each === null) return [whole];
    const ratios = layerKinds(SMOLLM2).flatMap((kind) => ratioOf(operation, kindShape(M, kind)) ?? []);
    const worst = ratios.sort((a, b) => b.median - a.median)[0] ?? null;
    return [whole, atMost(`${operation} of ${M} rows, the slowest kind of matrix`, worst, limitOf(each))];
  });
  return [
    ...goals,
    atMost("one row over all matrices, times of float32's time", tokenRatio(find), limitOf(TOKEN_SPEED)),
    attentionGoal(find(ATTENTION, attentionShape(256)), ceilings.fused),
    ...modelGoals(rows.filter(isModelRow), ceilings.fused),
    residentGoal(peakResident),
  ];
}

/** Times of float32's time where so much of its speed is asked for. */
function limitOf(speed: number): number {
  return Number((1 / speed).toFixed(3));
}

/** All layers and the head, round by round. */
function tokenRatio(find: (operation: string, shape: string) => Row | undefined): Timing | null {
  const timeOf = (form: 'stored' | 'plain'): number[] | null => {
    const name = nameOf(PRODUCT, form);
    const [layer, head] = [find(name, layerShape(1)), find(name, headShape(1))];
    if (layer === undefined || head === undefined) return null;
    return layer.rounds.flatMap((ms, i) =>
      head.rounds[i] === undefined ? [] : [SMOLLM2.layers * ms + head.rounds[i]],
    );
  };
  const [stored, plain] = [timeOf('stored'), timeOf('plain')];
  return stored === null || plain === null ? null : pairedRatios(summarise(stored), summarise(plain));
}

function attentionGoal(row: Row | undefined, fused: number | null): Goal {
  const percent = row === undefined || fused === null ? null : (100 * row.gflops) / fused;
  return atLeast(`${ATTENTION} of 256 positions, of the fused ceiling`, percent, ATTENTION_PERCENT, '%');
}

/** Each by the best of its rounds. */
function modelGoals(rows: readonly ModelRow[], fused: number | null): Goal[] {
  const find = (operation: typeof PROMPT | typeof GENERATION, threads: number, weights = STORED) => {
    const tokens = operation === PROMPT ? FULL.read : FULL.written;
    const [title, shape] = [modelTitle(operation, weights), modelShape(tokens, threads)];
    return rows.find((row) => row.operation === title && row.shape === shape);
  };
  const relaxed = rows[0]?.kernels !== 'simd';
  const percents = Object.entries(PROMPT_PERCENT[relaxed ? 'relaxed' : 'plain']);
  const [stored, plain] = [find(PROMPT, 1), find(PROMPT, 1, PLAIN)];
  const ratio = stored === undefined || plain === undefined ? null : pairedRatios(stored, plain);
  return [
    ...percents.map(([threads, least]) => {
      const row = find(PROMPT, Number(threads));
      const goal = `prompt, threads: ${threads}, best of rounds, of the fused ceiling`;
      return atLeast(goal, row && shareOf(row, fused), least, '%');
    }),
    atMost("prompt, times of float32's time", ratio, limitOf(PROMPT_SPEED)),
    generationGoal(find(GENERATION, 1), relaxed, fused),
  ];
}

function generationGoal(row: ModelRow | undefined, relaxed: boolean, fused: number | null): Goal {
  const goal = 'generation, threads: 1, best of rounds';
  if (relaxed)
    return atLeast(`${goal}, of the fused ceiling`, row && shareOf(row, fused), GENERATION_PERCENT, '%');
  const { tokens, ceiling } = PLAIN_GENERATION;
  const speed = row === undefined || fused === null ? null : (Math.max(...speedsOf(row)) * ceiling) / fused;
  return atLeast(`${goal}, were the fused ceiling ${ceiling} GFLOP/s`, speed, tokens, 'tokens a second');
}

/** Percent of the fused ceiling by the best round; null where it was not measured. */
function shareOf(row: ModelRow, fused: number | null): number | null {
  if (row.kernels === 'relaxed-simd') return Math.max(...percentsOf(row));
  return fused === null ? null : (100 * row.gflops * row.median) / row.min / (fused * row.threads);
}

function atLeast(goal: string, value: number | null | undefined, least: number, unit: string): Goal {
  const limit = `at least ${least} ${unit}`;
  if (value === null || value === undefined) return { goal, limit, measured: null, met: null };
  return { goal, limit, measured: `${value.toFixed(1)} ${unit}`, met: value >= least };
}

function residentGoal(bytes: number | undefined): Goal {
  const [goal, limit] = [
    'most memory of a process that reads 256 tokens and writes 64',
    `at most ${RESIDENT_MB} MB`,
  ];
  if (bytes === undefined) return { goal, limit, measured: null, met: null };
  return { goal, limit, measured: `${(bytes / 1e6).toFixed(0)} MB`, met: bytes <= 1e6 * RESIDENT_MB };
}
