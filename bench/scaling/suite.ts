/**
 * The suite `scaling`: how the cost of a LoRA forward and of a LoRA training step grows with M, d, r and threads, one of
 * them moved at a time. The growth of the time stands beside the growth of the flops.
 */
import type { Runtime } from 'lora-wasm';
import { chartOf, groupsBy } from '../core/chart.js';
import { markdownTable } from '../core/markdown.js';
import { prepareOwn } from '../core/own.js';
import {
  flopsOf,
  type Operation,
  type Prepared,
  problemOf,
  type Shape,
  shapeOf,
  Twin,
} from '../core/problem.js';
import { type NotMeasured, PACKAGE, type Report, type Row } from '../core/records.js';
import { figure, rangeText } from '../core/table.js';
import { timedRows } from '../core/timed-rows.js';
import type { Environment, Outcome, Suite } from '../suite.js';

const AXES = ['M', 'd', 'r', 'threads'] as const;
type Axis = (typeof AXES)[number];

export interface ScalingRow extends Row {
  /** Which size moves, and its value here. */
  readonly axis: Axis;
  readonly value: number;
  /** Time and flops over those of the axis's first value. */
  readonly timeGrowth: number;
  readonly flopGrowth: number;
}

const BASE = { M: 64, d: 768, r: 8 };
const OPERATIONS: readonly Operation[] = ['LoRA forward', 'LoRA training step'];
const SIZES: Readonly<Record<keyof typeof BASE, readonly number[]>> = {
  M: [1, 4, 16, 64, 256, 1024],
  d: [128, 256, 512, 768, 1024, 2048],
  r: [1, 2, 4, 8, 16, 32, 64],
};
const FULL = { rounds: 7, roundMs: 40 };
const QUICK = { rounds: 2, roundMs: 1 };

export const scaling = {
  about: 'how the cost grows with M, d, r and threads',
  run,
  columns: ['operation', 'moves', 'shape', 'threads', 'ms (range)', 'GFLOP/s', 'time grows', 'flops grow'],
  cells: (row) => [
    row.operation,
    row.axis,
    row.shape,
    String(row.threads),
    rangeText(row),
    row.gflops.toFixed(1),
    `${row.timeGrowth.toFixed(2)}x`,
    `${row.flopGrowth.toFixed(2)}x`,
  ],
  digest: ({ rows }) =>
    markdownTable(
      ['operation', 'moves', 'flops grow', 'time grows', 'GFLOP/s'],
      growth(rows as ScalingRow[]),
    ),
  chart: { shows: 'GFLOP/s over M, d, r and threads, with the 128-bit ceiling,', draw },
} as const satisfies Suite<ScalingRow>;

/** One line an operation and axis: from its smallest value to its largest. */
function growth(rows: readonly ScalingRow[]): string[][] {
  return groupsBy(rows, titleOf).map(({ bars }) => {
    const [first, last] = [bars[0]![1], bars.at(-1)![1]] as [ScalingRow, ScalingRow];
    return [
      first.operation,
      `${first.axis} from ${first.value} to ${last.value}`,
      `${figure(last.flopGrowth)}x`,
      `${figure(last.timeGrowth)}x`,
      `${first.gflops.toFixed(1)} to ${last.gflops.toFixed(1)}`,
    ];
  });
}

function titleOf(row: Row): string {
  return `${row.operation}, ${(row as ScalingRow).axis}`;
}

/** A group of bars an operation and axis. */
function draw(report: Report): string {
  const { fused, plain } = report.ceilings;
  const relaxed = report.rows[0]?.kernels === 'relaxed-simd' && fused !== null;
  const nameOf = (row: Row): string => {
    const { axis, value, shape } = row as ScalingRow;
    return axis === 'threads' ? `threads=${value}, ${shape}` : shape;
  };
  return chartOf(report, groupsBy(report.rows, titleOf, nameOf), relaxed ? fused : plain);
}

interface Point {
  readonly value: number;
  readonly shape: Shape;
  readonly rt: Runtime;
}

async function run(environment: Environment): Promise<Outcome<ScalingRow>> {
  const { quick, wanted, progress } = environment;
  const base = quick ? { ...BASE, M: 4, d: 64 } : BASE;
  const notMeasured: NotMeasured[] = [];
  const runtimes = await runtimesByThreads(environment, notMeasured);
  const pointsOf = (axis: Axis): Point[] => {
    if (axis === 'threads')
      return runtimes.map((rt) => ({ value: rt.info().threads, shape: shapeAt(base), rt }));
    const values = quick ? SIZES[axis].slice(0, 2) : SIZES[axis];
    return values.map((value) => ({ value, shape: shapeAt({ ...base, [axis]: value }), rt: runtimes[0]! }));
  };
  const rows: ScalingRow[] = [];
  for (const operation of OPERATIONS) {
    for (const axis of AXES) {
      const points = pointsOf(axis);
      if (points.length < 2 || !wanted(`${operation} ${axis}`)) continue;
      progress(`${operation}, ${axis}`);
      rows.push(...(await axisRows(environment, operation, axis, points)));
    }
  }
  return { rows, notMeasured };
}

/** One thread, two, and so on. */
async function runtimesByThreads(environment: Environment, notMeasured: NotMeasured[]): Promise<Runtime[]> {
  const runtimes = [environment.rt];
  for (let threads = 2; threads <= environment.threads; threads++) {
    try {
      runtimes.push(await environment.runtimeOf(threads));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      notMeasured.push({ contestant: PACKAGE, operation: `${threads} threads`, reason });
    }
  }
  return runtimes;
}

function shapeAt({ M, d, r }: typeof BASE): Shape {
  return { M, N: d, K: d, r };
}

/** Verifies every point of an axis, then measures them interleaved. */
async function axisRows(
  { quick, ceiling }: Environment,
  operation: Operation,
  axis: Axis,
  points: readonly Point[],
): Promise<ScalingRow[]> {
  const all: Prepared[] = [];
  for (const { shape, rt } of points) {
    const problem = problemOf(shape);
    const prepared = prepareOwn(rt, operation, problem);
    await new Twin(problem).check(PACKAGE, operation, prepared);
    all.push(prepared);
  }
  const entries = points.map(({ shape, rt }, i) => ({
    ...{ rt, operation, shape: shapeOf(shape, operation), flops: flopsOf(shape, operation) },
    run: () => void all[i]!.run(),
  }));
  const rows = timedRows(entries, quick ? QUICK : FULL, ceiling);
  for (const prepared of all) prepared.dispose();
  return rows.map((row, i) => ({
    ...{ axis, value: points[i]!.value, ...row },
    timeGrowth: row.median / rows[0]!.median,
    flopGrowth: entries[i]!.flops / entries[0]!.flops,
  }));
}
