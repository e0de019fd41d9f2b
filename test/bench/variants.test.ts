/** The tiles that were tried: each verifies in every build that the engine has, a wrong one is refused, the choice is the package's. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { TestBed } from '../../bench/variants/bed.js';
import { compileTiles } from '../../bench/variants/build.js';
import { behind, OPERATIONS, type VariantsReport } from '../../bench/variants/report.js';
import { BUILDS, CHOSEN, FAMILIES, functionName, SHAPES, type Shape } from '../../bench/variants/shapes.js';
import { sourceOf } from '../../bench/variants/source.js';
import { planForward } from '../../src/engine/plan.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

describe.each(BUILDS)('%s', (build) => {
  test('every tile is exact', { timeout: 600_000 }, async ({ skip }) => {
    const bytes = await compileTiles(sourceOf(SHAPES), build);
    skip(!WebAssembly.validate(bytes), `this engine has no ${build}`);
    const bed = new TestBed(new WebAssembly.Module(bytes));
    for (const shape of SHAPES) expect(() => bed.verify(shape)).not.toThrow();
  });

  test('its chosen tiles are among those tried, and are the ones that the plans name', () => {
    const names = SHAPES.map(functionName);
    for (const family of FAMILIES) expect(names).toContain(family + CHOSEN[build][family]);
    const pathOf = (M: number): number => planForward(BUILDS.indexOf(build), M, 768, 768, 0) & 15;
    expect(CHOSEN[build].packed).toBe(`${pathOf(256)}x8`);
    expect(CHOSEN[build].dot).toBe(`2x${pathOf(4)}`);
  });
});

const WRONG: readonly [what: string, shape: Shape, from: string, to: string, message: RegExp][] = [
  [
    'a sum of other operands',
    { family: 'packed', rows: 2, columns: 8, trick: null },
    'c11 = madd(s01, b01, c11)',
    'c11 = madd(s01, b00, c11)',
    /packed2x8: element \[1, [4-7]\]/,
  ],
  [
    'a low-rank part left out',
    { family: 'dot', rows: 2, columns: 2, trick: null },
    'part < 2',
    'part < 1',
    /dot2x2: element \[0, 0\]/,
  ],
  [
    'a store behind the row',
    { family: 'stream', rows: 1, columns: 1, trick: null },
    'c0 < end',
    'c0 <= end',
    /stream1x1: element \[0, 768\] is .*expected NaN/,
  ],
];

test.each(WRONG)('%s is refused', { timeout: 600_000 }, async (_, shape, from, to, message) => {
  const source = sourceOf([shape]);
  const wrong = source.replaceAll(from, to);
  expect(wrong).not.toBe(source);
  const bedOf = async (text: string, name: string): Promise<TestBed> =>
    new TestBed(new WebAssembly.Module(await compileTiles(text, 'simd', name)));
  const name = functionName(shape);
  const [right, broken] = [await bedOf(source, `${name}-right`), await bedOf(wrong, `${name}-wrong`)];
  expect(() => right.verify(shape)).not.toThrow();
  expect(() => broken.verify(shape)).toThrow(message);
});

test('the command measures tiles and paths and says what is behind', { timeout: 600_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'lora-wasm-variants-'));
  try {
    const file = join(folder, 'out.json');
    const args = ['--import', 'tsx', 'bench/variants/pick.ts', '--quick', '--json', file];
    const printed = execFileSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' });
    const report = JSON.parse(readFileSync(file, 'utf8')) as VariantsReport;
    // What is kept is a row a line.
    expect(readFileSync(file, 'utf8').split('\n').length).toBeLessThan(
      report.tiles.length + report.paths.length + 20,
    );
    const plain = report.tiles.filter(({ kernels }) => kernels === 'simd');
    expect(plain).toHaveLength(SHAPES.length);
    for (const { gflops, percentOfCeiling, ceiling } of plain) {
      for (const figure of [gflops, percentOfCeiling, ceiling]) expect(figure).toBeGreaterThan(0);
    }
    for (const family of FAMILIES) {
      const own = plain.filter((row) => row.family === family);
      expect(own.filter(({ winner }) => winner)).toHaveLength(1);
      expect(own.filter(({ chosen }) => chosen)).toHaveLength(1);
    }
    for (const name of OPERATIONS) {
      const own = report.paths.filter(({ operation, kernels }) => operation === name && kernels === 'simd');
      // Two counts of rows, each with a winner and a plan.
      for (const key of ['winner', 'planned'] as const) expect(own.filter((row) => row[key])).toHaveLength(2);
      expect(printed).toContain(`simd, ${name}: GFLOP/s of each path`);
    }
    for (const line of behind(report)) expect(printed).toContain(line);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
