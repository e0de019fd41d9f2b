/**
 * Forward contestants of one shape: plain TypeScript, naive WebAssembly, this package's plain product, and LoRA unfused
 * (three products and an add), fused and merged. Each result is checked against float64 before anything is timed.
 */
import { add, linear, type Runtime, scale } from 'lora-wasm';
import type { Effort } from '../core/measure.js';
import { naiveProduct, plainProduct } from '../core/naive-product.js';
import { forwardOf, layerForward, linearOf, loraOf } from '../core/own.js';
import { flopsOf, type Operation, type Prepared, type Problem, problemOf, Twin } from '../core/problem.js';
import { OP, type Row, shapeText } from '../core/records.js';
import { timedRows } from '../core/timed-rows.js';
import type { Environment } from '../suite.js';

export interface ForwardShape {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly ranks: readonly number[];
}

/** What every group needs. */
export interface Context extends Pick<Environment, 'rt' | 'naive' | 'ceiling' | 'wanted'> {
  readonly effort: Effort;
}

interface Entry {
  readonly contestant?: string;
  readonly operation: string;
  /** What its result must be. */
  readonly computes: Operation;
  /** Of the shape's rank, or without one. */
  readonly flopsOf: Operation;
  /** `setX` copies x in, where it is not used in place. */
  readonly prepared: Prepared & { run(): void; read(): unknown; setX?(): void };
}

/** Rows of one M, N, K at each of its ranks; the baselines, which know no rank, run once. */
export async function forwardRows(context: Context, { M, N, K, ranks }: ForwardShape): Promise<Row[]> {
  const wanted = ranks.filter((r) => context.wanted(`${OP.forward} ${shapeText(M, N, K, r)}`));
  const rows: Row[] = [];
  for (const [i, r] of wanted.entries())
    rows.push(...(await groupRows(context, problemOf({ M, N, K, r }), i === 0)));
  return rows;
}

async function groupRows(context: Context, problem: Problem, baselines: boolean): Promise<Row[]> {
  const { M, N, K, r } = problem;
  const entries = [
    ...(baselines ? baselineEntries(context, problem) : []),
    ...packageEntries(context.rt, problem),
  ];
  const twin = new Twin(problem);
  for (const { contestant = '', operation, computes, prepared } of entries)
    await twin.check(`${contestant} ${operation} ${shapeText(M, N, K, r)}`, computes, prepared);
  const rows = timedRows(
    entries.map((entry) => {
      const { contestant, operation, prepared } = entry;
      const { run, read, setX } = prepared;
      const whole =
        setX &&
        ((): void => {
          setX();
          run();
          read();
        });
      return {
        ...{ rt: context.rt, operation, run, whole },
        ...(contestant !== undefined && { contestant }),
        shape: shapeText(M, N, K, contestant === undefined ? r : null),
        flops: flopsOf(problem, entry.flopsOf),
        ...((contestant !== undefined || operation !== OP.forward) && { ratioTo: OP.forward }),
      };
    }),
    context.effort,
    context.ceiling,
  );
  for (const { prepared } of entries) prepared.dispose();
  return rows;
}

function baselineEntries({ naive }: Context, problem: Problem): Entry[] {
  const product = { operation: OP.forward, computes: 'linear forward', flopsOf: 'linear forward' } as const;
  return [
    { ...product, contestant: 'plain TypeScript', prepared: plainProduct(problem) },
    { ...product, contestant: 'naive WASM', prepared: naiveProduct(naive, problem) },
  ];
}

function packageEntries(rt: Runtime, problem: Problem): Entry[] {
  const { N, K, low } = problem;
  const [base, fused, merged] = [linearOf(rt, problem), loraOf(rt, problem), loraOf(rt, problem)];
  const [a, b] = [rt.tensor(low.a, [low.r, K]), rt.tensor(low.b, [N, low.r])];
  merged.merge();
  const unfused = forwardOf(rt, problem, [a, b], (x) =>
    add(linear(x, base.weight, base.bias), scale(linear(linear(x, a), b), low.scaling)),
  );
  const [plain, lora] = ['linear forward', 'LoRA forward'] as const;
  const entries: [string, computes: Operation, flopsOf: Operation, Entry['prepared']][] = [
    [OP.forward, plain, plain, layerForward(rt, problem, base)],
    [OP.unfused, lora, lora, unfused],
    [OP.fused, lora, lora, layerForward(rt, problem, fused)],
    [OP.merged, lora, plain, layerForward(rt, problem, merged)],
  ];
  return entries.map(([operation, computes, flopsOf, prepared]) => ({
    operation,
    computes,
    flopsOf,
    prepared,
  }));
}
