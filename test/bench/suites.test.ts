/** Every suite runs quickly here and in a page, verified, and gives a report of the promised form. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { baselinesSection } from '../../bench/baselines/section.js';
import { chromiumEngine, type Engine, nodeEngine } from '../../bench/engines.js';
import { goalsOf } from '../../bench/goals.js';
import type { KernelRow } from '../../bench/kernels/suite.js';
import { isReport, OP, PACKAGE, type Report, type Row } from '../../bench/records.js';
import type { ScalingRow } from '../../bench/scaling/suite.js';
import { SUITE_NAMES, SUITES, type SuiteName } from '../../bench/suites.js';
import { findChromium } from '../browser/chromium.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const QUICK = { quick: true, kernels: 'auto', threads: 2, filter: null } as const;
/** No arithmetic: their rows have a time and no speed. */
const MOVING: readonly string[] = [OP.loadAdapter, OP.switchAdapter, OP.mergeAdapter, 'fill', 'gatherRows'];

/** What every row keeps, whatever its suite. */
function expectRows(rows: readonly Row[]): void {
  expect(rows.length).toBeGreaterThan(0);
  for (const row of rows) {
    expect(row.min).toBeGreaterThan(0);
    expect(row.min).toBeLessThanOrEqual(row.median);
    expect(row.median).toBeLessThanOrEqual(row.max);
    if (!MOVING.includes(row.operation)) expect(row.gflops).toBeGreaterThan(0);
  }
}

/** What each suite promises of its rows. */
const PROMISES: Readonly<Record<SuiteName, (rows: readonly Row[]) => void>> = {
  bench: (rows) => {
    expect(new Set(rows.map(({ operation }) => operation))).toEqual(new Set(Object.values(OP)));
    const contestants = new Set(rows.map(({ contestant }) => contestant));
    expect(contestants).toEqual(new Set([PACKAGE, 'plain TypeScript', 'naive WASM']));
  },
  kernels: (rows) => {
    const groups = new Set((rows as KernelRow[]).map(({ group }) => group));
    expect([...groups]).toEqual(expect.arrayContaining(['skinny', 'vector']));
    for (const { limitMs, percentOfLimit, percentRange } of rows as KernelRow[]) {
      expect(limitMs).toBeGreaterThan(0);
      expect(percentRange[0]).toBeLessThanOrEqual(percentOfLimit);
      expect(percentOfLimit).toBeLessThanOrEqual(percentRange[1]);
    }
  },
  scaling: (rows) => {
    const operations = new Set(rows.map(({ operation }) => operation));
    expect(operations).toEqual(new Set(['LoRA forward', 'LoRA training step']));
    const axes = new Set((rows as ScalingRow[]).map(({ axis }) => axis));
    expect([...axes]).toEqual(['M', 'd', 'r', 'threads']);
    for (const row of rows as ScalingRow[]) {
      if (row.axis === 'M') expect(row.flopGrowth).toBeCloseTo(row.value, 10);
      if (row.axis === 'threads') expect(row).toMatchObject({ threads: row.value, flopGrowth: 1 });
    }
  },
  threads: (rows) => {
    expect(rows.map(({ threads }) => threads)).toEqual([1, 2, 1, 2]);
    for (const { threads, ratio } of rows) {
      if (threads === 1) expect(ratio).toBe(1);
      else expect(ratio).toBeGreaterThan(0);
    }
  },
};

test.each(SUITE_NAMES)(
  'the command measures %s and writes JSON of the promised form',
  { timeout: 120_000 },
  (name) => {
    const folder = mkdtempSync(join(tmpdir(), 'lora-wasm-bench-'));
    try {
      const file = join(folder, 'out.json');
      const args = ['--import', 'tsx', 'bench/main.ts', name, '--quick', '--threads', '2', '--json', file];
      const printed = execFileSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' });
      const report: unknown = JSON.parse(readFileSync(file, 'utf8'));
      if (!isReport(report)) throw new Error(`${name}: out.json has another form`);
      expect(report.engine).toBe(`Node ${process.versions.node} (V8 ${process.versions.v8})`);
      expect(report.command).toBe(
        `node --import tsx bench/main.ts ${name} --quick --threads 2 --json out.json`,
      );
      expect(report.ceilings.plain).toBeGreaterThan(0);
      expectRows(report.rows);
      PROMISES[name](report.rows);
      for (const { contestant, operation, reason } of report.notMeasured) {
        expect([contestant, operation, reason].every((text) => text.length > 0)).toBe(true);
      }
      for (const head of SUITES[name].columns) expect(printed).toContain(head);
      if (name === 'bench') expectGoals(report, printed);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);

function expectGoals(report: Report, printed: string): void {
  expect(printed).toContain('How fast');
  for (const { goal } of goalsOf(report)) expect(baselinesSection(report, 'x.json')).toContain(goal);
}

test('a filter leaves the titles that it matches, kernels are those asked for', async () => {
  const options = { ...QUICK, kernels: 'simd', filter: 'forward M$' } as const;
  const { rows, ceilings } = await nodeEngine().run('scaling', options, () => {});
  const seen = (rows as ScalingRow[]).map(({ operation, axis }) => `${operation} ${axis}`);
  expect(new Set(seen)).toEqual(new Set(['LoRA forward M']));
  for (const { kernels, percentOfCeiling, gflops } of rows) {
    expect(kernels).toBe('simd');
    expect(percentOfCeiling).toBeCloseTo((100 * gflops) / ceilings.plain, 10);
  }
});

const chromium = findChromium();

describe.skipIf(chromium === null)('in a page', () => {
  let engine: Engine;

  beforeAll(async () => {
    engine = await chromiumEngine(chromium!);
  }, 60_000);

  afterAll(() => engine?.close());

  test.each(SUITE_NAMES)('%s is measured with the relaxed kernels', { timeout: 60_000 }, async (name) => {
    const told: string[] = [];
    const measured = await engine.run(name, QUICK, (text) => told.push(text));
    expect(engine.name).toMatch(/^Chromium \d+\./);
    expect(measured.ceilings.fused).toBeGreaterThan(0);
    expect(measured.ceilings.readGBs).toBeGreaterThan(0);
    expectRows(measured.rows);
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
