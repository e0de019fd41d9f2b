/**
 * `npm run bench:scaling`: how the cost of a LoRA forward and of a LoRA training step grows with M, d, r and threads, one
 * of them moved at a time. The growth of the time stands beside the growth of the flops.
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { pathToFileURL } from 'node:url';
import Table from 'cli-table3';
import { Command } from 'commander';
import { measureCeilings } from './ceilings.js';
import { type Effort, measure } from './measure.js';
import { buildNaive } from './naive.js';
import { check, reasonOf } from './peers/host.js';
import { loadOwn } from './peers/own.js';
import type { Operation, Peer, Prepared } from './peers/peer.js';
import { flopsOf, problemOf, type Shape, shapeOf, Twin } from './peers/problem.js';
import { commandLine, commitOf, cpuName, higher, today } from './provenance.js';
import { gflopsOf, type NotMeasured, PACKAGE, type Report, type Row } from './records.js';
import { ceilingsText, figure } from './table.js';

export interface ScalingRow extends Row {
  /** Which size moves, and its value here. */
  readonly axis: Axis;
  readonly value: number;
  /** Time and flops over those of the axis's first value. */
  readonly timeGrowth: number;
  readonly flopGrowth: number;
}

type Axis = 'M' | 'd' | 'r' | 'threads';

const BASE = { M: 64, d: 768, r: 8, threads: 1 };
const OPERATIONS: readonly Operation[] = ['LoRA forward', 'LoRA training step'];
const AXES: Readonly<Record<Exclude<Axis, 'threads'>, readonly number[]>> = {
  M: [1, 4, 16, 64, 256, 1024],
  d: [128, 256, 512, 768, 1024, 2048],
  r: [1, 2, 4, 8, 16, 32, 64],
};
const FULL = { rounds: 7, roundMs: 40 };
const QUICK = { rounds: 2, roundMs: 1 };

interface Point {
  readonly axis: Axis;
  readonly value: number;
  readonly shape: Shape;
  readonly peer: Peer;
}

/** The package at a number of threads. @throws Error when it has not so many */
async function ownAt(threads: number): Promise<Peer> {
  return loadOwn({ threads, filesOf: () => '', naive: await buildNaive(), python: null });
}

function shapeAt({ M, d, r }: { M: number; d: number; r: number }): Shape {
  return { M, N: d, K: d, r };
}

/** Verifies every point of an axis, then measures them interleaved. */
async function axisRows(
  operation: Operation,
  points: readonly Point[],
  effort: Effort,
): Promise<ScalingRow[]> {
  const all: Prepared[] = [];
  for (const { shape, peer } of points) {
    const problem = problemOf(shape);
    const prepared = await peer.prepare(operation, problem);
    await check(new Twin(problem), PACKAGE, operation, prepared);
    all.push(prepared);
  }
  const tasks = all.map((prepared, i) => ({ name: String(i), run: () => void prepared.run() }));
  const timings = measure(tasks, effort);
  for (const prepared of all) prepared.dispose();
  const first = timings.get('0')!.median;
  return points.map(({ axis, value, shape, peer }, i) => {
    const timing = timings.get(String(i))!;
    const flops = flopsOf(shape, operation);
    return {
      axis,
      value,
      contestant: PACKAGE,
      operation,
      shape: shapeOf(shape, operation),
      kernels: peer.kernels,
      threads: peer.threads,
      ...timing,
      gflops: gflopsOf(flops, timing.median),
      percentOfCeiling: null,
      endToEnd: null,
      ratio: null,
      flopRatio: null,
      ratioTo: null,
      timeGrowth: timing.median / first,
      flopGrowth: flops / flopsOf(points[0]!.shape, operation),
    };
  });
}

async function measureAll(quick: boolean): Promise<{ rows: ScalingRow[]; notMeasured: NotMeasured[] }> {
  const rows: ScalingRow[] = [];
  const notMeasured: NotMeasured[] = [];
  const base = quick ? { ...BASE, M: 4, d: 64 } : BASE;
  const effort = quick ? QUICK : FULL;
  const one = await ownAt(1);
  const byThreads: Point[] = [];
  for (let threads = 1; threads <= availableParallelism(); threads++) {
    try {
      const peer = threads === 1 ? one : await ownAt(threads);
      byThreads.push({ axis: 'threads', value: threads, shape: shapeAt(base), peer });
    } catch (error) {
      notMeasured.push({ contestant: PACKAGE, operation: `${threads} threads`, reason: reasonOf(error) });
    }
  }
  for (const operation of OPERATIONS) {
    for (const [name, values] of Object.entries(AXES)) {
      const axis = name as keyof typeof AXES;
      const points = (quick ? values.slice(0, 2) : values).map((value): Point => {
        return { axis, value, shape: shapeAt({ ...base, [axis]: value }), peer: one };
      });
      rows.push(...(await axisRows(operation, points, effort)));
    }
    if (byThreads.length > 1) rows.push(...(await axisRows(operation, byThreads, effort)));
  }
  return { rows, notMeasured };
}

export const SCALING_COLUMNS = [
  'operation',
  'moves',
  'shape',
  'threads',
  'ms (range)',
  'GFLOP/s',
  'time grows',
  'flops grow',
] as const;

export function scalingCells(row: ScalingRow): string[] {
  return [
    row.operation,
    row.axis,
    row.shape,
    String(row.threads),
    `${figure(row.median)} (${figure(row.min)}-${figure(row.max)})`,
    row.gflops.toFixed(1),
    `${row.timeGrowth.toFixed(2)}x`,
    `${row.flopGrowth.toFixed(2)}x`,
  ];
}

async function main(): Promise<void> {
  const { json, quick = false } = new Command('npm run bench:scaling --')
    .description('Measures how the cost grows with M, d, r and threads. Everything is verified first.')
    .option('--json <file>', 'also write the results as JSON')
    .option('--quick', 'two small values of each, to see whether all works')
    .parse()
    .opts<{ json?: string; quick?: boolean }>();
  const before = await measureCeilings();
  const { rows, notMeasured } = await measureAll(quick);
  const report: Report & { readonly rows: ScalingRow[] } = {
    commit: commitOf(),
    cpu: cpuName(),
    engine: `Node ${process.versions.node} (V8 ${process.versions.v8})`,
    command: commandLine('bench:scaling', 'bench/scaling.ts'),
    date: today(),
    ceilings: quick ? before : higher(before, await measureCeilings()),
    rows,
    notMeasured,
  };
  const table = new Table({ head: [...SCALING_COLUMNS], style: { head: [], border: [], compact: true } });
  for (const row of rows) table.push(scalingCells(row));
  console.log(`${report.cpu} | ${report.engine} | ${ceilingsText(report)} of one thread`);
  console.log(table.toString());
  for (const { contestant, operation, reason } of notMeasured)
    console.log(`not measured: ${contestant}, ${operation}: ${reason}`);
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(report, null, 1)}\n`);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) await main();
