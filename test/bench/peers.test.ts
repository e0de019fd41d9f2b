/** The comparison with peers without any peer: its hosts and rounds over stand-ins, and the report over fixed numbers. */
import { describe, expect, test } from 'vitest';
import { tickStep } from '../../bench/chart-parts.js';
import { plainForward } from '../../bench/naive-product.js';
import { chartOf } from '../../bench/peers/chart.js';
import type { Contestants } from '../../bench/peers/contestants.js';
import { drive } from '../../bench/peers/drive.js';
import { type Host, LocalHost, reasonOf } from '../../bench/peers/host.js';
import { loadOwn } from '../../bench/peers/own.js';
import type { Loader, Operation, Place, Prepared } from '../../bench/peers/peer.js';
import { flopsOf, problemOf, type Shape, shapeOf } from '../../bench/peers/problem.js';
import { peersSection } from '../../bench/peers/section.js';
import { peerCells, sortedRows } from '../../bench/peers/table.js';
import { insertTables } from '../../bench/readme-tables.js';
import { isReport, PACKAGE, type Report, type Row } from '../../bench/records.js';

const SHAPE: Shape = { M: 5, N: 24, K: 17, r: 3 };
const EMPTY_MODULE = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0);

async function placeOf(threads: number): Promise<Place> {
  return { threads, filesOf: () => '', naive: new WebAssembly.Module(EMPTY_MODULE), python: null };
}

/** A contestant that has the linear forward alone, its first element off by `error`. */
function standIn(name: string, error: number): () => Promise<Loader> {
  const lacks = { 'LoRA forward': 'forward only', 'LoRA training step': 'forward only' };
  return async () => async () => ({
    name,
    version: '1',
    settings: 'loops',
    kernels: 'own',
    threads: 1,
    lacks,
    prepare: (_operation, { M, N, K, x, w, bias }): Prepared => {
      const y = new Float32Array(M * N);
      const run = (): void => {
        plainForward(M, N, K, x, w, bias, y);
        y[0]! += error;
      };
      return { run, read: () => ({ y }), dispose: () => {} };
    },
  });
}

const STAND_INS: Contestants = {
  [PACKAGE]: async () => loadOwn,
  right: standIn('right', 0),
  wrong: standIn('wrong', 1e-3),
  absent: async () => {
    throw new Error("Cannot find package 'absent'\nsecond line");
  },
};

describe('a host', () => {
  test('measures what is verified and says why the rest is not', { timeout: 60_000 }, async () => {
    const host = new LocalHost(STAND_INS, placeOf);
    const names = Object.keys(STAND_INS);
    const effort = { rounds: 3, roundMs: 1, settleMs: 1 };
    const outcome = await drive([{ host, names, threads: 1 }], effort, () => {}, [SHAPE]);
    const measured = outcome.rows.map(({ contestant, operation }) => `${contestant}: ${operation}`);
    expect(measured.sort()).toEqual([
      'lora-wasm: LoRA forward',
      'lora-wasm: LoRA training step',
      'lora-wasm: linear forward',
      'right: linear forward',
    ]);
    for (const row of outcome.rows) {
      expect(row.rounds).toHaveLength(3);
      const flops = flopsOf(SHAPE, row.operation as Operation);
      expect(row.gflops).toBeCloseTo(flops / row.median / 1e6, 10);
    }
    const reasons = outcome.notMeasured.map((entry) => `${entry.contestant}: ${entry.reason}`);
    expect(reasons).toContain("absent: Cannot find package 'absent'");
    expect(reasons.filter((reason) => reason.startsWith('right'))).toEqual([
      'right: forward only',
      'right: forward only',
    ]);
    expect(reasons).toContainEqual(
      expect.stringMatching(/^wrong: verify: wrong linear forward: element 0 is .* expected/),
    );
  });

  test('says that the package has no such threads', async () => {
    const host = new LocalHost(STAND_INS, placeOf);
    const { peers, missing } = await host.load([PACKAGE], 4096);
    expect(peers).toEqual([]);
    expect(missing[0]!.operation).toBe('every operation, 4096 threads');
    expect(missing[0]!.reason.length).toBeGreaterThan(10);
  });
});

test.each([
  ["Cannot find package 'x' imported from /a/b/c.ts\n at d", "Cannot find package 'x'"],
  ['spawn /opt/some/python ENOENT', 'spawn python ENOENT'],
  ["no '@tensorflow/tfjs' at http://a/b/c", "no '@tensorflow/tfjs' at http://a/b/c"],
])('a reason names no folder: %s', (message, reason) => {
  expect(reasonOf(new Error(message))).toBe(reason);
});

test('rounds of several hosts alternate, hosts and contestants reversed every round', async () => {
  const order: string[] = [];
  const hostOf = (name: string, ms: number): Host => {
    const info = { name, label: name, version: '', settings: '', kernels: 'own', threads: 1 };
    return {
      load: async () => ({ peers: [info], missing: [] }),
      prepare: async () => ({ ready: [name], missing: [{ contestant: name, operation: 'x', reason: 'y' }] }),
      round: async (_ms, _settleMs, reversed) => {
        order.push(`${name} ${reversed}`);
        return { [name]: ms };
      },
      clear: async () => {},
    };
  };
  const parties = [hostOf('a', 2), hostOf('b', 4)].map((host) => ({ host, names: [], threads: 1 }));
  const shape = { M: 1, N: 1000, K: 1000, r: null };
  const { rows, notMeasured } = await drive(parties, { rounds: 3, roundMs: 1, settleMs: 0 }, () => {}, [
    shape,
  ]);
  expect(order).toEqual(['a false', 'b false', 'b true', 'a true', 'a false', 'b false']);
  expect(rows.map(({ contestant, median, gflops }) => [contestant, median, gflops])).toEqual([
    ['a', 2, 1],
    ['b', 4, 0.5],
  ]);
  expect(notMeasured).toHaveLength(2);
});

test.each([
  ['linear forward', 2 * 5 * 24 * 17, 'M=5 N=24 K=17'],
  ['LoRA forward', 2 * 5 * 24 * 17 + 2 * 5 * 3 * (24 + 17), 'M=5 N=24 K=17 r=3'],
  ['LoRA training step', 4 * 5 * 24 * 17 + 2 * 5 * 3 * 3 * (24 + 17), 'M=5 N=24 K=17 r=3'],
] as const)('flops of a %s', (operation, flops, shape) => {
  expect(flopsOf(SHAPE, operation)).toBe(flops);
  expect(shapeOf(SHAPE, operation)).toBe(shape);
});

test('a problem is the same every time and its B is not zero', () => {
  const [first, second] = [problemOf(SHAPE), problemOf(SHAPE)];
  expect(second).toEqual(first);
  expect(first.low.b.every((value) => value !== 0)).toBe(true);
  expect([first.x.length, first.w.length, first.target.length]).toEqual([5 * 17, 24 * 17, 5 * 24]);
});

function row(contestant: string, threads: number, [min, median, max]: [number, number, number]): Row {
  return {
    contestant,
    operation: 'linear forward',
    shape: 'M=256 N=768 K=768',
    kernels: 'own',
    threads,
    median,
    min,
    max,
    rounds: [min, median, max],
    gflops: 200 / median,
    percentOfCeiling: contestant === 'native' ? null : 50,
    endToEnd: null,
    ratio: null,
    flopRatio: null,
    ratioTo: null,
  };
}

const REPORT: Report = {
  commit: 'abc',
  cpu: 'a CPU',
  engine: 'Engine 1',
  command: 'npm run bench:peers',
  date: '2026-01-02',
  ceilings: { fused: 60, plain: 40, readGBs: null },
  rows: [
    row('slow & <old>', 1, [10, 20, 40]),
    row(PACKAGE, 2, [2, 2.5, 4]),
    row(PACKAGE, 1, [4, 5, 8]),
    row('native', 1, [2, 2, 2]),
  ],
  notMeasured: [{ contestant: 'x', operation: 'every operation', reason: 'it is not here' }],
};

describe('the report', () => {
  test('sorts by threads and speed, with the time over this package', () => {
    const cells = sortedRows(REPORT.rows).map((one) => peerCells(one, REPORT.rows).slice(2));
    expect(cells).toEqual([
      ['1', 'native', '2.00 (2.00-2.00)', '100.0', '', '0.40'],
      ['1', PACKAGE, '5.00 (4.00-8.00)', '40.0', '50', ''],
      ['1', 'slow & <old>', '20.0 (10.0-40.0)', '10.0', '50', '4.00'],
      ['2', PACKAGE, '2.50 (2.00-4.00)', '80.0', '50', ''],
    ]);
  });

  test('a section names the engine, the file, the chart and what was not measured', () => {
    expect(isReport(REPORT)).toBe(true);
    const section = peersSection(REPORT, 'f.json');
    expect(section).toContain('## Engine 1');
    expect(section).toContain('[f.json](../../bench/results/f.json)');
    expect(section).toContain('](../../bench/results/f.svg)');
    expect(section).toContain('fused 60.0 GFLOP/s, plain 40.0 GFLOP/s');
    expect(section).toContain('- x, every operation: it is not here');
    const readme = 'a\n<!-- peers:start -->\nold\n<!-- peers:end -->\nb';
    expect(insertTables(readme, 'new', 'peers')).toBe('a\n<!-- peers:start -->\nnew\n<!-- peers:end -->\nb');
    expect(() => insertTables(readme, 'new')).toThrow('the page has no <!-- bench:start -->');
  });
});

describe('the chart', () => {
  const svg = chartOf(REPORT, /^M=256 /);
  const numbers = (pattern: RegExp): number[] => [...svg.matchAll(pattern)].map((match) => Number(match[1]));

  test('bars are as long as their speed, the ceiling stands at its own', () => {
    // The ceiling of two threads, 120, is the largest: the axis is 510 wide.
    expect(numbers(/<rect[^>]* width="([\d.]+)"/g)).toEqual([425, 170, 42.5, 340]);
    expect(numbers(/<line class="ceiling" x1="([\d.]+)"/g)).toEqual([290 + 255, 290 + 510]);
    expect(svg).toContain('128-bit ceiling of 2 threads, 120 GFLOP/s');
    expect(svg).toContain('128-bit ceiling of one thread, 60 GFLOP/s');
  });

  test('whiskers reach from the slowest to the fastest round', () => {
    // This package at one thread: 200/8 = 25 to 200/4 = 50 GFLOP/s.
    expect(svg).toContain('<line class="whisker" x1="396.3" y1="61.5" x2="502.5" y2="61.5"/>');
  });

  test('names are escaped, threads are told, both colour schemes are there', () => {
    expect(svg).toContain('slow &amp; &lt;old&gt;');
    expect(svg).toContain(`${PACKAGE}, 2 threads`);
    expect(svg).toContain('prefers-color-scheme: dark');
    expect(svg.match(/<text/g)).toHaveLength(svg.match(/<\/text>/g)!.length);
  });

  test('the plain ceiling where no fused one is known; no rows are an error', () => {
    const plain = { ...REPORT, ceilings: { ...REPORT.ceilings, fused: null } };
    expect(chartOf(plain, /M=256/)).toContain('one thread, 40 GFLOP/s');
    expect(() => chartOf(REPORT, /M=7/)).toThrow('chartOf: no row of Engine 1');
  });

  test.each([
    [100, 20],
    [80, 10],
    [81, 20],
    [7, 1],
    [1800, 500],
  ])('ticks up to %d are %d apart', (top, step) => {
    expect(tickStep(top)).toBe(step);
  });
});
