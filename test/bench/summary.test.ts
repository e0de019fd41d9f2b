/** The README's table, and the summary's of several engines side by side, over fixed numbers. */
import { describe, expect, test } from 'vitest';
import type { Goal } from '../../bench/goals.js';
import { fastestTable } from '../../bench/readme-speed.js';
import { PACKAGE, type Report, type Row } from '../../bench/records.js';
import { chartsSummary, machinesSummary } from '../../bench/summary/engines.js';
import { goalsSummary } from '../../bench/summary/goals.js';
import { peersSummary } from '../../bench/summary/peers.js';
import { threadsSummary } from '../../bench/summary/threads.js';

function row(contestant: string, threads: number, rounds: [number, number, number]): Row {
  const [min, median, max] = rounds;
  return {
    ...{ contestant, threads, rounds: [...rounds], min, median, max },
    ...{ operation: 'linear forward', shape: 'M=256 N=768 K=768', kernels: 'simd', gflops: 1 },
    ...{ percentOfCeiling: null, endToEnd: null, ratio: null, flopRatio: null, ratioTo: null },
  };
}

function report(engine: string, rows: Row[]): Report {
  const ceilings = { fused: 60, plain: 40, readGBs: null };
  return {
    ...{ engine, rows, ceilings, cpu: 'a CPU', command: 'a command', date: '2026-01-02' },
    ...{ commit: '0123456789', notMeasured: [] },
  };
}

const NEW = report('Node 26.1.2 (V8 14)', [
  row('slow', 1, [10, 20, 40]),
  row(PACKAGE, 1, [4, 5, 8]),
  row(PACKAGE, 2, [2, 2.5, 4]),
]);
const PAGE = report('Chromium 156.0.1', [row(PACKAGE, 1, [5, 6, 7]), row('slow', 2, [10, 20, 40])]);

test('peers: the fastest first, a factor over this package on as many threads, empty where not measured', () => {
  expect(peersSummary([NEW, PAGE]).split('\n').slice(0, 6)).toEqual([
    '| linear forward, ms (range) | Node 26 | Chromium 156 |',
    '| --- | --- | --- |',
    '| **lora-wasm** | 5.00 (4.00-8.00) | 6.00 (5.00-7.00) |',
    '| slow | 20.0 (10.0-40.0), 4.00x |  |',
    '| **lora-wasm, 2 threads** | 2.50 (2.00-4.00) |  |',
    '| slow, 2 threads |  | 20.0 (10.0-40.0) |',
  ]);
});

describe('goals', () => {
  const goals = (limit: string, measured: string | null, met: boolean | null): Goal[] => [
    { goal: 'a goal', limit, measured, met },
  ];

  test('are met or missed; engines with one limit share it', () => {
    const of = ({ engine }: Report): Goal[] => goals('at most 2', engine, engine === NEW.engine);
    expect(goalsSummary([NEW, PAGE], of)).toContain(
      '| a goal | at most 2 | met: Node 26.1.2 (V8 14) | **missed**: Chromium 156.0.1 |',
    );
  });

  test('name the engines of each limit, and what was not measured', () => {
    const of = ({ engine }: Report): Goal[] =>
      engine === NEW.engine ? goals('at most 2', '1', true) : goals('at most 3', null, null);
    expect(goalsSummary([NEW, PAGE], of)).toContain(
      '| a goal | at most 2 (Node 26); at most 3 (Chromium 156) | met: 1 | not measured |',
    );
  });
});

test('threads: the ratios of rounds that are neighbours, and both times', () => {
  const own = (each: Report): Report => ({
    ...each,
    rows: each.rows.filter(({ contestant }) => contestant === PACKAGE),
  });
  expect(threadsSummary([own(NEW), own(PAGE)])).toContain(
    '| linear forward, M=256 N=768 K=768, 2 threads | 2.00 (2.00-2.00); 2.50 for 5.00 |  |',
  );
});

test('machines and charts: what ran where, and where each chart lies', () => {
  expect(machinesSummary([NEW])).toBe(
    '- Node 26.1.2 (V8 14), simd kernels: a CPU; ceilings: fused 60.0 GFLOP/s, plain 40.0 GFLOP/s of one thread; 2026-01-02, commit 0123456.',
  );
  const charts = chartsSummary(
    [
      ['a.json', NEW],
      ['b.json', PAGE],
    ],
    'speed',
  );
  expect(charts.split('\n')).toEqual([
    '- speed in Node 26.1.2 (V8 14): `bench/results/a.svg`.',
    '- speed in Chromium 156.0.1: `bench/results/b.svg`.',
  ]);
});

test("the README's table has the five fastest of the first engine on one thread, whoever they are", () => {
  const step = (contestant: string, ms: number, threads = 1): Row => ({
    ...row(contestant, threads, [ms, ms, ms]),
    ...{ operation: 'LoRA training step', shape: 'M=256 N=768 K=768 r=8' },
  });
  const rows = [
    ['f', 6],
    ['e', 5],
    ['d', 4],
    ['c', 3],
    [PACKAGE, 2],
    ['a', 1],
  ] as const;
  const node = report('Node 26.1.2 (V8 14)', [
    ...rows.map(([name, ms]) => step(name, ms)),
    step('a', 0.5, 2),
  ]);
  expect(fastestTable([node, report('Chromium 156.0.1', [step(PACKAGE, 4)])]).split('\n')).toEqual([
    '| LoRA training step, ms | Node 26 | Chromium 156 |',
    '| --- | --- | --- |',
    '| a | 1.00 (0.50x) |  |',
    '| **lora-wasm** | 2.00 | 4.00 |',
    '| c | 3.00 (1.50x) |  |',
    '| d | 4.00 (2.00x) |  |',
    '| e | 5.00 (2.50x) |  |',
  ]);
});
