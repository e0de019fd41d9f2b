/**
 * The suite `scaling`: how the cost of a LoRA forward and of a LoRA training step grows with M, d, r and threads, one of
 * them moved at a time. The growth of the time stands beside the growth of the flops.
 */
import { measure } from '../measure.js';
import { check, reasonOf } from '../peers/host.js';
import { peerOf } from '../peers/own.js';
import type { Operation, Peer, Prepared } from '../peers/peer.js';
import { flopsOf, problemOf, type Shape, shapeOf, Twin } from '../peers/problem.js';
import { gflopsOf, type NotMeasured, PACKAGE, type Row } from '../records.js';
import type { Environment, Outcome, Suite } from '../suite.js';
import { rangeText } from '../table.js';

export const AXES = ['M', 'd', 'r', 'threads'] as const;
export type Axis = (typeof AXES)[number];

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

export const scaling: Suite<ScalingRow> = {
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
};

interface Point {
  readonly value: number;
  readonly shape: Shape;
  readonly peer: Peer;
}

async function run(environment: Environment): Promise<Outcome<ScalingRow>> {
  const { quick, wanted, progress } = environment;
  const base = quick ? { ...BASE, M: 4, d: 64 } : BASE;
  const notMeasured: NotMeasured[] = [];
  const own = await peersByThreads(environment, notMeasured);
  const pointsOf = (axis: Axis): Point[] => {
    if (axis === 'threads') return own.map((peer) => ({ value: peer.threads, shape: shapeAt(base), peer }));
    const values = quick ? SIZES[axis].slice(0, 2) : SIZES[axis];
    return values.map((value) => ({ value, shape: shapeAt({ ...base, [axis]: value }), peer: own[0]! }));
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

/** The package at one thread, two, and so on. */
async function peersByThreads(environment: Environment, notMeasured: NotMeasured[]): Promise<Peer[]> {
  const peers = [peerOf(environment.rt)];
  for (let threads = 2; threads <= environment.threads; threads++) {
    try {
      peers.push(peerOf(await environment.runtimeOf(threads)));
    } catch (error) {
      notMeasured.push({ contestant: PACKAGE, operation: `${threads} threads`, reason: reasonOf(error) });
    }
  }
  return peers;
}

function shapeAt({ M, d, r }: typeof BASE): Shape {
  return { M, N: d, K: d, r };
}

/** Verifies every point of an axis, then measures them interleaved. */
async function axisRows(
  { quick, quiet, ceiling }: Environment,
  operation: Operation,
  axis: Axis,
  points: readonly Point[],
): Promise<ScalingRow[]> {
  const all: Prepared[] = [];
  for (const { shape, peer } of points) {
    const problem = problemOf(shape);
    const prepared = await peer.prepare(operation, problem);
    await check(new Twin(problem), PACKAGE, operation, prepared);
    all.push(prepared);
  }
  const tasks = all.map((prepared, i) => ({ name: String(i), run: () => void prepared.run() }));
  const timings = measure(tasks, quick ? QUICK : { ...FULL, quiet });
  for (const prepared of all) prepared.dispose();
  const first = timings.get('0')!.median;
  return points.map(({ value, shape, peer: { kernels, threads } }, i) => {
    const timing = timings.get(String(i))!;
    const flops = flopsOf(shape, operation);
    const gflops = gflopsOf(flops, timing.median);
    return {
      ...{ axis, value, contestant: PACKAGE, operation, shape: shapeOf(shape, operation), kernels, threads },
      ...timing,
      gflops,
      percentOfCeiling: ceiling === null ? null : (100 * gflops) / (ceiling * threads),
      ...{ endToEnd: null, ratio: null, flopRatio: null, ratioTo: null },
      timeGrowth: timing.median / first,
      flopGrowth: flops / flopsOf(points[0]!.shape, operation),
    };
  });
}
