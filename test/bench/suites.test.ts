/** What a suite measures follows from its rounds; here and in a page. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WEIGHT_OPERATIONS } from '../../bench/baselines/weights.js';
import { pairedRatio } from '../../bench/core/measure.js';
import { isReport, OP, PACKAGE, type Row } from '../../bench/core/records.js';
import { chromiumEngine, type Engine, nodeEngine } from '../../bench/engines.js';
import type { KernelRow } from '../../bench/kernels/suite.js';
import { ATTENTION_OPERATIONS } from '../../bench/llm/attention.js';
import type { ScalingRow } from '../../bench/scaling/suite.js';
import { SUITE_NAMES, SUITES, type SuiteName } from '../../bench/suites.js';
import { findChromium } from '../browser/chromium.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const QUICK = { quick: true, kernels: 'auto', threads: 2, filter: null, model: null } as const;

/** The figures of a row, computed anew from its rounds. */
function expectFigures(rows: readonly Row[]): void {
  expect(rows.length).toBeGreaterThan(0);
  for (const { operation, shape, rounds, median, min, max } of rows) {
    const sorted = [...rounds].sort((a, b) => a - b);
    const what = `${operation} ${shape}`;
    expect(rounds.length, what).toBeGreaterThanOrEqual(2);
    expect([min, max], what).toEqual([sorted[0], sorted.at(-1)]);
    const half = sorted.length / 2;
    expect(median, what).toBe((sorted[Math.ceil(half) - 1]! + sorted[Math.floor(half)]!) / 2);
    expect(min, what).toBeGreaterThan(0);
  }
}

const size = (shape: string, name: string): number => Number(new RegExp(`${name}=(\\d+)`).exec(shape)?.[1]);

/** Flops that a row's speed stands for, from its speed and time; whole numbers of them. */
const flopsOf = ({ gflops, median }: Row): number => gflops * median * 1e6;

/** What each suite promises of its rows. */
const PROMISES: Readonly<Record<SuiteName, (rows: readonly Row[]) => void>> = {
  bench: (rows) => {
    const operations = [...Object.values(OP), ...WEIGHT_OPERATIONS];
    expect(new Set(rows.map(({ operation }) => operation))).toEqual(new Set(operations));
    for (const { shape, rounds, ratio, ratioTo } of rows.filter(({ operation }) =>
      /f16 weight/.test(operation),
    )) {
      const plain = rows.find((row) => row.operation === ratioTo && row.shape === shape)!;
      expect(ratioTo).toContain('f32 weight');
      expect(ratio).toBeCloseTo(pairedRatio({ rounds }, plain), 10);
    }
    const contestants = new Set(rows.map(({ contestant }) => contestant));
    expect(contestants).toEqual(new Set([PACKAGE, 'plain TypeScript', 'naive WASM']));
    for (const row of rows.filter(({ operation }) => operation === OP.fused)) {
      const [M, N, K, r] = ['M', 'N', 'K', 'r'].map((name) => size(row.shape, name)) as [
        number,
        number,
        number,
        number,
      ];
      expect(flopsOf(row)).toBeCloseTo(2 * M * (N * K + r * (N + K)), 3);
      expect(row.flopRatio).toBeCloseTo(1 + (r * (N + K)) / (N * K), 10);
    }
  },
  kernels: (rows) => {
    const groups = new Set((rows as KernelRow[]).map(({ group }) => group));
    expect([...groups]).toEqual(['M >= 64', 'M 9-63', 'M 1-8', 'odd sizes', 'skinny', 'vector']);
    for (const row of rows as KernelRow[]) {
      const { operation, shape, rounds, percentRange, percentOfLimit, limitMs } = row;
      const what = `${operation} ${shape}`;
      if (operation === 'product x·Wᵀ')
        expect(flopsOf(row), what).toBeCloseTo(2 * size(shape, 'M') * size(shape, 'N') * size(shape, 'K'), 3);
      // Two rounds: a round's limit is its percentage of its time, whichever is whose.
      const [low, high] = percentRange;
      expect(percentOfLimit, what).toBeCloseTo((low + high) / 2, 9);
      const limits = [
        [low, high],
        [high, low],
      ].map(([a, b]) => (a! * rounds[0]! + b! * rounds[1]!) / 200 / limitMs);
      expect(Math.min(...limits.map((ratio) => Math.abs(ratio - 1))), what).toBeLessThan(1e-9);
    }
  },
  scaling: (rows) => {
    const axes = new Set((rows as ScalingRow[]).map(({ axis }) => axis));
    expect([...axes]).toEqual(['M', 'd', 'r', 'threads']);
    for (const operation of ['LoRA forward', 'LoRA training step'])
      for (const axis of axes) {
        const own = (rows as ScalingRow[]).filter((row) => row.operation === operation && row.axis === axis);
        expect(own).toHaveLength(2);
        const [first, second] = own as [ScalingRow, ScalingRow];
        expect(second.timeGrowth).toBeCloseTo(second.median / first.median, 10);
        expect(second.flopGrowth).toBeCloseTo(flopsOf(second) / flopsOf(first), 10);
        expect(own.map(({ value }) => value)).toEqual(
          own.map(({ shape, threads }) =>
            axis === 'threads' ? threads : size(shape, axis === 'd' ? 'N' : axis),
          ),
        );
      }
    const forward = rows.filter(({ operation }) => operation === 'LoRA forward');
    for (const row of forward) {
      const [M, d, r] = ['M', 'N', 'r'].map((name) => size(row.shape, name)) as [number, number, number];
      expect(flopsOf(row)).toBeCloseTo(2 * M * d * (d + 2 * r), 3);
    }
  },
  threads: (rows) => {
    expect(rows.map(({ threads }) => threads)).toEqual([1, 2, 1, 2]);
    for (const [i, { ratio, rounds }] of rows.entries()) {
      const alone = rows[i - (i % 2)]!;
      const ratios = rounds.map((ms, at) => ms / alone.rounds[at]!);
      // Two rounds.
      expect(ratio).toBeCloseTo((ratios[0]! + ratios[1]!) / 2, 10);
    }
  },
  llm: (rows) => {
    const products = rows.filter(({ operation }) => / weights$/.test(operation));
    expect(products.map(({ operation, shape }) => `${operation} ${shape}`)).toContain(
      "product, quantised weights M=1, a layer's matrices",
    );
    for (const { operation, shape, rounds, ratio, ratioTo } of products.filter(
      ({ ratio }) => ratio !== null,
    )) {
      const plain = products.find((row) => row.operation === ratioTo && row.shape === shape)!;
      expect(operation).toContain('quantised');
      expect(ratio).toBeCloseTo(pairedRatio({ rounds }, plain), 10);
    }
    for (const row of products.filter(({ shape }) => / N=/.test(shape)))
      expect(flopsOf(row)).toBeCloseTo(
        2 * size(row.shape, 'M') * size(row.shape, 'N') * size(row.shape, 'K'),
        3,
      );
    const rest = rows.filter((row) => !products.includes(row)).map(({ operation }) => operation);
    expect(rest).toEqual(ATTENTION_OPERATIONS);
  },
};

test.each(SUITE_NAMES)('figures of %s follow from its rounds and shapes', async (name) => {
  const { rows, ceilings, notMeasured } = await nodeEngine().run(name, QUICK, () => {});
  expectFigures(rows);
  PROMISES[name](rows);
  expect(ceilings.plain).toBeGreaterThan(0);
  for (const { contestant, operation, reason } of notMeasured)
    expect([contestant, operation, reason].every((text) => text.length > 0)).toBe(true);
});

test('the command prints the table and writes JSON of the promised form', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lora-wasm-bench-'));
  try {
    const file = join(folder, 'out.json');
    const args = ['--import', 'tsx', 'bench/main.ts', 'threads', '--quick', '--threads', '2', '--json', file];
    const printed = execFileSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' });
    const report: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (!isReport(report)) throw new Error('out.json has another form');
    expect(report.engine).toBe(`Node ${process.versions.node} (V8 ${process.versions.v8})`);
    expect(report.command).toBe(
      'node --import tsx bench/main.ts threads --quick --threads 2 --json out.json',
    );
    for (const head of SUITES.threads.columns) expect(printed).toContain(head);
    for (const row of report.rows)
      for (const cell of SUITES.threads.cells(row)) expect(printed).toContain(cell);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a filter leaves the titles that it matches, kernels are those asked for', async () => {
  const options = { ...QUICK, kernels: 'simd', filter: 'forward M$' } as const;
  const { rows } = await nodeEngine().run('scaling', options, () => {});
  const seen = (rows as ScalingRow[]).map(
    ({ operation, axis, kernels }) => `${operation} ${axis} ${kernels}`,
  );
  expect(new Set(seen)).toEqual(new Set(['LoRA forward M simd']));
});

const chromium = findChromium();

describe.skipIf(chromium === null)('in a page', () => {
  let engine: Engine;

  beforeAll(async () => {
    engine = await chromiumEngine(chromium!);
  });

  afterAll(() => engine?.close());

  test.each(SUITE_NAMES)('%s is measured with the relaxed kernels', async (name) => {
    const told: string[] = [];
    const measured = await engine.run(name, QUICK, (text) => told.push(text));
    expect(engine.name).toMatch(/^Chromium \d+\./);
    expect(measured.ceilings.fused).toBeGreaterThan(0);
    expectFigures(measured.rows);
    PROMISES[name](measured.rows);
    const own = measured.rows.filter(({ contestant }) => contestant === PACKAGE);
    expect(new Set(own.map(({ kernels }) => kernels))).toEqual(new Set(['relaxed-simd']));
    if (name === 'scaling') expect(told).toContain('LoRA forward, M');
  });

  test('what fails there is told here', async () => {
    const options = { ...QUICK, filter: '(' };
    await expect(engine.run('bench', options, () => {})).rejects.toThrow('Invalid regular expression');
  });
});
