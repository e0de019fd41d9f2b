/**
 * The suite `bench`: this package against plain TypeScript, naive WebAssembly and itself (plain, LoRA unfused, fused, merged;
 * LoRA step against full step), what weights of 16 bits and handling adapters cost; one thread.
 */
import { layerContest, MNIST_CONTEST, MNIST_SIZES } from '../core/contest.js';
import { type NotMeasured, OP, PACKAGE, type Row } from '../core/records.js';
import { figure, rangeText } from '../core/table.js';
import type { Environment, Outcome, Suite } from '../suite.js';
import { adapterRows } from './adapters.js';
import { type Context, type ForwardShape, forwardRows } from './forward.js';
import { goalsOf, PRODUCT_SIZES } from './goals.js';
import { trainingRows } from './training.js';
import { productRow, weightMergeRows, weightProductRows } from './weights.js';

const RANKS = [4, 8, 16, 64];
const BATCHES = [1, 10, 64, 256];
const FULL_EFFORT = { rounds: 5, roundMs: 20 };
/** Rows that the goals rest on: more rounds, since the machine's clock wanders. */
const GOAL_EFFORT = { rounds: 11, roundMs: 60 };
const QUICK_EFFORT = { rounds: 3, roundMs: 2 };

const FORWARD_SHAPES: ForwardShape[] = [
  ...MNIST_SIZES.flatMap(([N, K]) => BATCHES.map((M) => ({ M, N, K, ranks: [1] }))),
  { M: 64, N: 768, K: 768, ranks: RANKS },
  ...[768, 2048].map((d) => ({ M: 256, N: d, K: d, ranks: RANKS })),
];

export const baselines = {
  about: 'the package against plain matrix products and itself, on one thread',
  run,
  columns: [
    ...['shape', 'operation', 'kernel ms (range)', 'end to end ms', 'GFLOP/s', '% of ceiling'],
    ...['time ratio', 'flop ratio'],
  ],
  cells: (row) => [
    row.shape,
    row.contestant === PACKAGE ? row.operation : `${row.contestant}, ${row.operation}`,
    rangeText(row),
    row.endToEnd === null ? '' : figure(row.endToEnd.median),
    row.gflops.toFixed(1),
    row.percentOfCeiling === null ? '' : row.percentOfCeiling.toFixed(0),
    row.ratio === null ? '' : row.ratio.toFixed(3),
    row.flopRatio === null ? '' : row.flopRatio.toFixed(3),
  ],
  goals: goalsOf,
} as const satisfies Suite;

async function run(environment: Environment): Promise<Outcome> {
  const { rt, quick, wanted } = environment;
  const rows = await (quick ? quickRows(environment) : fullRows(environment));
  const { rounds } = quick ? QUICK_EFFORT : GOAL_EFFORT;
  rows.push(...(await adapterRows(rt, rounds, wanted)));
  return { rows, notMeasured: notMeasured(environment) };
}

async function quickRows(environment: Environment): Promise<Row[]> {
  const small: Context = { ...environment, effort: QUICK_EFFORT };
  return [
    ...productRow(small, 24, 96, 77),
    ...(await forwardRows(small, { M: 10, N: 10, K: 200, ranks: [1] })),
    ...(await forwardRows(small, { M: 16, N: 64, K: 64, ranks: [4, 8] })),
    ...trainingRows(small, layerContest(16, 64, 64, 8)),
    ...weightProductRows(small, 16, 64, 64),
    ...weightMergeRows(small, 64),
  ];
}

async function fullRows(environment: Environment): Promise<Row[]> {
  const { progress } = environment;
  const goal: Context = { ...environment, effort: GOAL_EFFORT };
  const full: Context = { ...environment, effort: FULL_EFFORT };
  const { M, N, K } = PRODUCT_SIZES;
  const rows = productRow(goal, M, N, K);
  for (const contest of [MNIST_CONTEST, ...RANKS.map((r) => layerContest(256, 768, 768, r))]) {
    progress(`training step, ${contest.shape}`);
    rows.push(...trainingRows(goal, contest));
  }
  for (const shape of FORWARD_SHAPES) {
    progress(`${OP.forward}, M=${shape.M} N=${shape.N} K=${shape.K}`);
    rows.push(...(await forwardRows(shape.N === 768 ? goal : full, shape)));
  }
  progress('16-bit weights');
  for (const M of BATCHES) rows.push(...weightProductRows(goal, M, 768, 768));
  rows.push(...weightMergeRows(goal, 2048));
  return rows;
}

function notMeasured({ rt, ceilings }: Environment): NotMeasured[] {
  const list: NotMeasured[] = ['plain TypeScript', 'naive WASM'].map((contestant) => ({
    contestant,
    operation: 'training step',
    reason: 'the baselines have a forward product only',
  }));
  const plain = rt.info().kernels === 'simd';
  list.push({
    contestant: PACKAGE,
    operation: `every operation, ${plain ? 'relaxed-simd' : 'simd'}`,
    reason: plain
      ? 'this run used the plain SIMD kernels: this engine has no relaxed SIMD, or --kernels asked for them'
      : 'this run used the relaxed kernels: see --kernels simd',
  });
  if (ceilings.fused === null) {
    list.push({ contestant: 'ceiling', operation: 'fused', reason: 'no engine with relaxed SIMD was found' });
  }
  return list;
}
