/**
 * Every kernel against its limit: ceiling, memory and kernel take turns within each round, so that what the machine's clock
 * does meanwhile falls on all of them.
 */
import { type Effort, measure, medianOf } from '../core/measure.js';
import { FLOPS_A_TURN, wholeReads } from '../core/peak.js';
import { gflopsOf, ownRow, type Report, type Row } from '../core/records.js';
import { figure, rangeText } from '../core/table.js';
import type { Environment, Suite } from '../suite.js';
import type { Group, KernelCase } from './cases.js';
import { kernelGoals, reaches } from './goals.js';
import { productCases } from './products.js';
import { vectorCases } from './vectors.js';

export interface KernelRow extends Row {
  readonly group: Group;
  /** Milliseconds that a call cannot be faster than, the median over the rounds, and what sets it. */
  readonly limitMs: number;
  readonly limitedBy: 'ceiling' | 'reading' | 'flop share' | 'even neighbour';
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

export const kernels = {
  about: 'every kernel of a training step against the limit of the machine',
  run: (environment) => ({ rows: kernelRows(environment), notMeasured: [] }),
  columns: [
    ...['group', 'operation', 'shape', 'ms (range)', 'GFLOP/s', 'limit ms', 'limited by'],
    ...['reading alone, % of the time', '% of limit (range)'],
  ],
  cells: (row) => [
    ...[row.group, row.operation, row.shape, rangeText(row), row.gflops.toFixed(1), figure(row.limitMs)],
    row.limitedBy === 'reading' ? `reading, ${row.readGBs.toFixed(0)} GB/s` : row.limitedBy,
    row.readingPercent.toFixed(0),
    `${row.percentOfLimit.toFixed(0)} (${row.percentRange.map((percent) => percent.toFixed(0)).join('-')})`,
  ],
  ownCeilings: true,
  goals: kernelGoals,
  lists: ({ rows, ceilings }: Report) => {
    const missed = (rows as KernelRow[]).filter((row) => reaches(row, ceilings.fused) === false);
    return { rows: missed, are: `of ${rows.length} rows the ${missed.length} that do not` };
  },
} as const satisfies Suite<KernelRow>;

const FULL: Effort = { rounds: 9, roundMs: 10, samples: 5 };
const QUICK: Effort = { rounds: 2, roundMs: 1 };
const CEILING_TURNS = 20_000;

function kernelRows(environment: Environment): KernelRow[] {
  const { quick, wanted, progress } = environment;
  return [...productCases(quick), ...vectorCases(quick)].flatMap((one) => {
    const title = `${one.operation} ${one.shape}`;
    if (!wanted(`${one.group} ${title}`)) return [];
    progress(title);
    return [rowOf(environment, one)];
  });
}

function rowOf({ rt, yardstick, quick }: Environment, one: KernelCase): KernelRow {
  const ready = one.prepare(rt);
  ready.run();
  ready.verify();
  yardstick.prepareRead(one.bytes);
  const timings = measure(
    [
      { name: 'own', run: ready.run },
      { name: 'ceiling', run: () => yardstick.multiplyAdds(CEILING_TURNS) },
      { name: 'read', run: () => yardstick.read(one.bytes) },
      ...(ready.beside === undefined ? [] : [{ name: 'beside', run: ready.beside }]),
    ],
    quick ? QUICK : FULL,
  );
  ready.dispose();
  const own = timings.get('own')!;
  const fast = timings.get('ceiling')!.rounds.map((ms) => gflopsOf(FLOPS_A_TURN * CEILING_TURNS, ms));
  const gbs = timings.get('read')!.rounds.map((ms) => wholeReads(one.bytes) / ms / 1e6);
  const beside = timings.get('beside')?.rounds ?? null;
  // A call that is slow sits out after some rounds: only those that all ran can be compared.
  const shared = Math.min(...[own.rounds, fast, gbs, beside ?? gbs].map(({ length }) => length));
  const limits = Array.from({ length: shared }, (_, i) =>
    limitOf(one, fast[i]!, gbs[i]!, beside?.[i] ?? null),
  );
  const percents = limits.map(([ms], i) => (100 * ms) / own.rounds[i]!);
  const [ceiling, readGBs] = [medianOf(fast), medianOf(gbs)];
  return {
    ...ownRow(rt, [one.operation, one.shape], own, one.flops, ceiling),
    group: one.group,
    limitMs: medianOf(limits.map(([ms]) => ms)),
    limitedBy: limits[limits.length >> 1]![1],
    percentOfLimit: medianOf(percents),
    percentRange: [Math.min(...percents), Math.max(...percents)],
    readingPercent: (100 * one.bytes) / readGBs / 1e6 / own.median,
    readGBs,
    ceiling,
  };
}

/** The least time in a round, and what sets it. */
function limitOf(
  one: KernelCase,
  gflops: number,
  gbs: number,
  beside: number | null,
): [number, KernelRow['limitedBy']] {
  const reading = one.bytes / gbs / 1e6;
  const computing = beside === null ? one.flops / gflops / 1e6 : one.share! * beside;
  if (reading > computing) return [reading, 'reading'];
  if (beside === null) return [computing, 'ceiling'];
  return [computing, one.group === 'skinny' ? 'flop share' : 'even neighbour'];
}
