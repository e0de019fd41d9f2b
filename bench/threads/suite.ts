/**
 * The suite `threads`: one thread against several, taking turns, in products and LoRA steps. The results of both are compared
 * bit for bit before anything is timed.
 */
import { AdamW, Linear, LoraModel, linear, mseLoss, type Runtime, Sequential, type Tensor } from 'lora-wasm';
import { markdownTable } from '../core/markdown.js';
import { type Effort, measure, pairedRatio } from '../core/measure.js';
import { OP, ownRow, PACKAGE, type Report, type Row, shapeText } from '../core/records.js';
import { rangeText } from '../core/table.js';
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

type Numbers = ReturnType<Tensor['toArray']>;

/** What both runtimes do, their random numbers from one seed. `prepare` gives a call, and the call the numbers that must be the same. */
interface Case {
  readonly operation: string;
  readonly shape: string;
  readonly flops: number;
  readonly prepare: (rt: Runtime) => () => Numbers;
}

/** The product alone: no tape; the element read at the end shows that it ran. */
function product(M: number, N: number, K: number): Case {
  const prepare = (rt: Runtime): (() => Numbers) => {
    const [x, w] = [rt.normal([M, K]), rt.normal([N, K])];
    return () => rt.scope(() => linear(x, w).toArray());
  };
  return { operation: OP.product, shape: shapeText(M, N, K), flops: 2 * M * N * K, prepare };
}

/** Forward, loss, backward with a gradient of x, and AdamW: one inner layer. */
function step(M: number, d: number, r: number): Case {
  const prepare = (rt: Runtime): (() => Numbers) => {
    const net = new Sequential(new Linear(rt, d, d));
    const lora = LoraModel.attach(net, { r, loraAlpha: 2 * r, targetModules: ['0'] });
    const optimizer = new AdamW(lora.trainableParameters(), { lr: 1e-4 });
    const [x, target] = [rt.normal([M, d]), rt.normal([M, d])];
    return () =>
      rt.scope(() => {
        optimizer.zeroGrad();
        const input = x.detach();
        input.requiresGrad = true;
        const loss = mseLoss(lora.forward(input), target);
        loss.backward();
        optimizer.step();
        return loss.toArray();
      });
  };
  // Two large products (forward, dx) and six skinny ones.
  const flops = 4 * M * d * d + 12 * M * r * d;
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
  const rows = cases.flatMap((each) => {
    progress(`${each.operation}, ${each.shape}`);
    return caseRows(each, rt, more, quick ? QUICK : FULL, ceiling);
  });
  return { rows, notMeasured: [] };
}

/** @throws Error when the two differ in a bit */
function caseRows(
  { operation, shape, flops, prepare }: Case,
  one: Runtime,
  more: Runtime,
  effort: Effort,
  ceiling: number | null,
): Row[] {
  const [a, b] = [prepare(one), prepare(more)];
  for (let i = 0; i < 3; i++) {
    const [x, y] = [a(), b()];
    if (x.some((value, j) => !Object.is(value, y[j])))
      throw new Error(`threads: ${operation} ${shape}: other bits than one thread's`);
  }
  const tasks = [
    { name: 'one', run: () => void a() },
    { name: 'more', run: () => void b() },
  ];
  const timings = measure(tasks, effort);
  const alone = timings.get('one')!;
  return [[one, alone] as const, [more, timings.get('more')!] as const].map(([rt, timing]) => {
    const against = { ratio: pairedRatio(timing, alone), flopRatio: 1, ratioTo: `${operation}, one thread` };
    return ownRow(rt, [operation, shape], timing, flops, ceiling, against);
  });
}
