/**
 * The suite `threads`: one thread against several, taking turns, in products and LoRA steps. The results of both are compared
 * bit for bit before anything is timed.
 */
import { linear, type Runtime } from 'lora-wasm';
import { markdownTable } from '../core/markdown.js';
import { type Effort, pairedRatio } from '../core/measure.js';
import { prepareOwn } from '../core/own.js';
import { flopsOf, type Prepared, problemOf } from '../core/problem.js';
import { OP, PACKAGE, type Report, type Row, shapeText } from '../core/records.js';
import { rangeText } from '../core/table.js';
import { type Entry, timedRows } from '../core/timed-rows.js';
import type { Environment, Outcome, Suite } from '../suite.js';

const FULL: Effort = { rounds: 15, roundMs: 60 };
const QUICK: Effort = { rounds: 2, roundMs: 1 };

export const threads: Suite = {
  about: 'one thread against several, bit for bit the same',
  run,
  columns: ['operation', 'shape', 'threads', 'ms (range)', 'GFLOP/s', 'times as fast'],
  cells: (row) => [
    row.operation,
    row.shape,
    String(row.threads),
    rangeText(row),
    row.gflops.toFixed(1),
    row.threads === 1 || row.ratio === null ? '' : (1 / row.ratio).toFixed(2),
  ],
  // The digest has them all.
  lists: () => ({ rows: [], are: '' }),
  digest: (report) =>
    markdownTable(
      ['operation', 'shape', '1 thread, ms (range)', 'threads', 'ms (range)', 'times as fast'],
      pairsOf(report).map(({ alone, shared }) => [
        ...[shared.operation, shared.shape, rangeText(alone), String(shared.threads), rangeText(shared)],
        pairedRatio(alone, shared).toFixed(2),
      ]),
    ),
};

/** The same work on one thread and on several, measured in turn. */
export interface Pair {
  readonly alone: Row;
  readonly shared: Row;
}

export function pairsOf({ rows }: Report): Pair[] {
  return rows.flatMap((shared) => {
    const alone = rows.find(
      (row) => row.threads === 1 && row.operation === shared.operation && row.shape === shared.shape,
    );
    return shared.threads === 1 || alone === undefined ? [] : [{ alone, shared }];
  });
}

/** What both runtimes do over the same numbers. */
interface Case {
  readonly operation: string;
  readonly shape: string;
  readonly flops: number;
  readonly prepare: (rt: Runtime) => Prepared;
}

/** The product alone: no layer, no bias. */
function product(M: number, N: number, K: number): Case {
  const { x: xs, w: ws } = problemOf({ M, N, K, r: null });
  const prepare = (rt: Runtime): Prepared => {
    const [x, w] = [rt.tensor(xs, [M, K]), rt.tensor(ws, [N, K])];
    const run = (): Float32Array => rt.scope(() => linear(x, w).copyTo(new Float32Array(M * N)));
    const dispose = (): void => {
      for (const tensor of [x, w]) tensor.dispose();
    };
    return { run, read: () => ({ y: run() }), dispose };
  };
  return { operation: OP.product, shape: shapeText(M, N, K), flops: 2 * M * N * K, prepare };
}

/** Forward, loss, backward with a gradient of x, and AdamW: one inner layer. */
function step(M: number, d: number, r: number): Case {
  const problem = problemOf({ M, N: d, K: d, r });
  const flops = flopsOf(problem, 'LoRA training step');
  const prepare = (rt: Runtime): Prepared => prepareOwn(rt, 'LoRA training step', problem);
  return { operation: OP.loraStep, shape: shapeText(M, d, d, r), flops, prepare };
}

const CASES = [
  step(256, 768, 8),
  step(64, 768, 8),
  step(256, 256, 8),
  product(256, 768, 768),
  product(10, 2000, 1000),
  product(10, 1000, 784),
  product(10, 512, 512),
  product(64, 128, 256),
];
const QUICK_CASES = [step(64, 128, 8), product(64, 128, 128)];

async function run({
  rt,
  runtimeOf,
  threads,
  quick,
  wanted,
  ceiling,
  progress,
}: Environment): Promise<Outcome> {
  if (threads < 2) {
    const reason = 'this machine has one core: ask for more threads by --threads';
    return { rows: [], notMeasured: [{ contestant: PACKAGE, operation: 'several threads', reason }] };
  }
  const more = await runtimeOf(threads);
  const cases = (quick ? QUICK_CASES : CASES).filter(({ operation, shape }) =>
    wanted(`${operation} ${shape}`),
  );
  const rows: Row[] = [];
  for (const one of cases) {
    progress(`${one.operation}, ${one.shape}`);
    const [alone, shared] = [one.prepare(rt), one.prepare(more)];
    await expectSameBits(one, alone, shared);
    const { operation, shape, flops } = one;
    const entryOf = (runtime: Runtime, { run }: Prepared): Entry => ({
      ...{ rt: runtime, operation, shape, flops, run: () => void run() },
      ratioTo: operation,
    });
    const entries = [entryOf(rt, alone), entryOf(more, shared)];
    rows.push(...timedRows(entries, quick ? QUICK : FULL, ceiling));
    for (const prepared of [alone, shared]) prepared.dispose();
  }
  return { rows, notMeasured: [] };
}

/** Three calls of both, and what they computed after each. @throws Error when the two differ in a bit */
async function expectSameBits({ operation, shape }: Case, alone: Prepared, shared: Prepared): Promise<void> {
  for (let i = 0; i < 3; i++) {
    const [a, b] = [await alone.read(), await shared.read()].map(Object.values<Float32Array>);
    if (a!.some((values, k) => values.some((value, j) => !Object.is(value, b![k]![j]))))
      throw new Error(`threads: ${operation} ${shape}: other bits than one thread's`);
    for (const prepared of [alone, shared]) await prepared.run();
  }
}
