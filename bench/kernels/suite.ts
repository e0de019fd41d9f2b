/**
 * Every kernel against its limit: ceiling, memory and kernel take turns within each round, so that what the machine's clock
 * does meanwhile falls on all of them.
 */
import { type Effort, measure, medianOf, type Timing } from '../measure.js';
import { gflopsOf, PACKAGE, type Row } from '../records.js';
import type { Environment, Suite } from '../suite.js';
import type { Group, KernelCase } from './cases.js';
import { kernelGoals } from './goals.js';
import { productCases } from './products.js';
import { skinnyCases } from './skinny.js';
import { KERNEL_COLUMNS, kernelCells } from './table.js';
import { vectorCases } from './vectors.js';

/** What the least time of a call is made of. */
export type LimitedBy = 'ceiling' | 'reading' | 'flop share' | 'even neighbour';

export interface KernelRow extends Row {
  readonly group: Group;
  /** Milliseconds that a call cannot be faster than, the median over the rounds, and what sets it. */
  readonly limitMs: number;
  readonly limitedBy: LimitedBy;
  /** limit / time of the rounds: median, smallest and largest, in percent. */
  readonly percentOfLimit: number;
  readonly percentRange: readonly [number, number];
  /** Percent of the call's time that reading its bytes takes by itself: what a kernel that does not hide it loses. */
  readonly readingPercent: number;
  /** GB/s of the summing loop over as many bytes as the call moves. */
  readonly readGBs: number;
  /** GFLOP/s of the ceiling's loop in the same rounds. */
  readonly ceiling: number;
}

export type KernelContext = Pick<Environment, 'rt' | 'yardstick' | 'quiet' | 'quick' | 'wanted' | 'progress'>;

export const kernels: Suite<KernelRow> = {
  about: 'every kernel of a training step against the limit of the machine',
  run: (environment) => ({ rows: kernelRows(environment), notMeasured: [] }),
  columns: KERNEL_COLUMNS,
  cells: kernelCells,
  ownCeilings: true,
  goals: kernelGoals,
};

const FULL: Effort = { rounds: 9, roundMs: 10, samples: 5 };
const QUICK: Effort = { rounds: 2, roundMs: 1 };
const CEILING_TURNS = 20_000;
/** Calls shorter than this are timed several at once: a page's clock has steps of 5 µs, and timing itself takes a part of one. */
const CALL_MS = 0.5;

export function kernelRows(context: KernelContext): KernelRow[] {
  const { quick, wanted, progress } = context;
  const cases = [...productCases(quick), ...skinnyCases(quick), ...vectorCases(quick)];
  return cases.flatMap((one) => {
    const title = `${one.operation} ${one.shape}`;
    if (!wanted(`${one.group} ${title}`)) return [];
    progress(title);
    return [rowOf(context, one)];
  });
}

/** Milliseconds of one call where a task makes several. */
interface Batch {
  readonly run: () => void;
  readonly calls: number;
}

function batchOf(call: () => void): Batch {
  for (let calls = 1; ; calls *= 2) {
    const start = performance.now();
    for (let i = 0; i < calls; i++) call();
    if (performance.now() - start >= CALL_MS || calls >= 1 << 16) return { calls, run: repeat(call, calls) };
  }
}

function repeat(call: () => void, calls: number): () => void {
  return () => {
    for (let i = 0; i < calls; i++) call();
  };
}

function rowOf(context: KernelContext, one: KernelCase): KernelRow {
  const { rt, yardstick, quiet, quick } = context;
  const ready = one.prepare(rt);
  ready.run();
  ready.verify();
  yardstick.prepareRead(one.bytes);
  let flops = 0;
  let bytes = 0;
  const own = batchOf(ready.run);
  const read = batchOf(() => {
    bytes = yardstick.read(one.bytes);
  });
  const beside = ready.beside === undefined ? null : batchOf(ready.beside);
  const timings = measure(
    [
      { name: 'own', run: own.run },
      {
        name: 'ceiling',
        run: () => {
          flops = yardstick.multiplyAdds(CEILING_TURNS);
        },
      },
      { name: 'read', run: read.run },
      ...(beside === null ? [] : [{ name: 'beside', run: beside.run }]),
    ],
    quick ? QUICK : { ...FULL, quiet },
  );
  ready.dispose();
  const each = (name: string, calls: number): number[] => timings.get(name)!.rounds.map((ms) => ms / calls);
  const speeds = {
    gflops: each('ceiling', 1).map((ms) => gflopsOf(flops, ms)),
    gbs: each('read', read.calls).map((ms) => bytes / ms / 1e6),
    beside: beside === null ? null : each('beside', beside.calls),
  };
  return recordOf(context, one, each('own', own.calls), speeds);
}

interface Speeds {
  readonly gflops: readonly number[];
  readonly gbs: readonly number[];
  readonly beside: readonly number[] | null;
}

/** The least time in round i, and what sets it. */
function limitOf(one: KernelCase, { gflops, gbs, beside }: Speeds, i: number): [number, LimitedBy] {
  const reading = one.bytes / gbs[i]! / 1e6;
  const computing = beside === null ? one.flops / gflops[i]! / 1e6 : one.share! * beside[i]!;
  if (reading > computing) return [reading, 'reading'];
  if (beside === null) return [computing, 'ceiling'];
  return [computing, one.group === 'skinny' ? 'flop share' : 'even neighbour'];
}

function recordOf({ rt }: KernelContext, one: KernelCase, rounds: number[], speeds: Speeds): KernelRow {
  // A call that is slow sits out after some rounds: only those that all ran can be compared.
  const { gflops: fast, gbs, beside } = speeds;
  const shared = Math.min(...[rounds, fast, gbs, beside ?? rounds].map(({ length }) => length));
  const limits = rounds.slice(0, shared).map((_, i) => limitOf(one, speeds, i));
  const percents = limits.map(([ms], i) => (100 * ms) / rounds[i]!);
  const timing: Timing = {
    median: medianOf(rounds),
    min: Math.min(...rounds),
    max: Math.max(...rounds),
    rounds,
  };
  const ceiling = medianOf(speeds.gflops);
  const gflops = gflopsOf(one.flops, timing.median);
  return {
    contestant: PACKAGE,
    operation: one.operation,
    shape: one.shape,
    kernels: rt.info().kernels,
    threads: 1,
    ...timing,
    gflops,
    percentOfCeiling: (100 * gflops) / ceiling,
    endToEnd: null,
    ratio: null,
    flopRatio: null,
    ratioTo: null,
    group: one.group,
    limitMs: medianOf(limits.map(([ms]) => ms)),
    limitedBy: limits[limits.length >> 1]![1],
    percentOfLimit: medianOf(percents),
    percentRange: [Math.min(...percents), Math.max(...percents)],
    readingPercent: (100 * one.bytes) / medianOf(speeds.gbs) / 1e6 / timing.median,
    readGBs: medianOf(speeds.gbs),
    ceiling,
  };
}
