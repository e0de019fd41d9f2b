/** What is generated from the results is what is committed; and what it is made of, over fixed numbers. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { reaches } from '../../bench/kernels/goals.js';
import { kernelsSection } from '../../bench/kernels/section.js';
import type { KernelRow } from '../../bench/kernels/suite.js';
import { generatedFiles } from '../../bench/pages.js';
import { folded, insertTables, markdownTable } from '../../bench/readme-tables.js';
import { PACKAGE, type Report } from '../../bench/records.js';
import { scalingChart } from '../../bench/scaling/chart.js';
import { scalingSection } from '../../bench/scaling/section.js';
import { type Axis, type ScalingRow, scaling } from '../../bench/scaling/suite.js';

test.each([...generatedFiles()])('%s is what npm run bench:readme makes of the results', (path, content) => {
  expect(readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')).toBe(content);
});

test('insertTables replaces what stands between the marks and needs both', () => {
  const readme = 'a\n<!-- bench:start -->\nold\n<!-- bench:end -->\nb';
  expect(insertTables(readme, 'new')).toBe('a\n<!-- bench:start -->\nnew\n<!-- bench:end -->\nb');
  expect(() => insertTables('a', 'new')).toThrow('the page has no <!-- bench:start -->');
});

test('a folded block has blank lines around its Markdown', () => {
  const table = markdownTable(['a', 'b'], [['1', '2']]);
  expect(folded('2 of 5 rows', table).split('\n')).toEqual([
    '<details>',
    '<summary>2 of 5 rows</summary>',
    '',
    '| a | b |',
    '| --- | --- |',
    '| 1 | 2 |',
    '',
    '</details>',
  ]);
});

function point(axis: Axis, value: number, gflops: number, threads = 1): ScalingRow {
  return {
    ...{ axis, value, contestant: PACKAGE, operation: 'LoRA forward', kernels: 'relaxed-simd', threads },
    shape: axis === 'M' ? `M=${value} N=768 K=768 r=8` : 'M=64 N=768 K=768 r=8',
    ...{ median: 2, min: 1, max: 4, rounds: [1, 2, 4], gflops, percentOfCeiling: null },
    ...{ endToEnd: null, ratio: null, flopRatio: null, ratioTo: null },
    ...{ timeGrowth: 1.5, flopGrowth: value },
  };
}

const REPORT: Report = {
  ...{
    commit: 'abc',
    cpu: 'a CPU',
    engine: 'Engine <1>',
    command: 'npm run bench:scaling',
    date: '2026-01-02',
  },
  ceilings: { fused: 50, plain: 40, readGBs: null },
  rows: [
    ...[point('M', 1, 10), point('M', 4, 20), point('M', 16, 25)],
    ...[point('threads', 1, 25), point('threads', 2, 40, 2)],
  ],
  notMeasured: [{ contestant: PACKAGE, operation: '3 threads', reason: 'there are two cores' }],
};

describe('the section of kernels', () => {
  const kernel = (
    group: KernelRow['group'],
    operation: string,
    percentOfLimit: number,
    kernels = 'relaxed-simd',
  ): KernelRow => ({
    ...point('M', 4, 20),
    ...{ group, operation, percentOfLimit, percentRange: [percentOfLimit - 1, percentOfLimit + 1], kernels },
    ...{ limitMs: 1, limitedBy: 'ceiling', readingPercent: 12, readGBs: 30, ceiling: 50 },
  });

  test('says how many rows reach their share, shows the lowest, and lists those that miss', () => {
    const rows = [
      kernel('skinny', 'dA', 50),
      kernel('skinny', 'dB', 71),
      { ...kernel('vector', 'add', 99), limitedBy: 'reading' },
      kernel('vector', 'GELU', 40),
      kernel('M 9-63', 'dx = dy·W', 70),
      kernel('M 9-63', 'product x·Wᵀ', 79),
    ];
    const section = kernelsSection({ ...REPORT, rows }, 'f.json');
    const shape = 'M=4 N=768 K=768 r=8';
    expect(section).toContain(
      `at least 67 % of the limit | 1 of 2; median 61 %, lowest 50 %: dA, ${shape} | no |`,
    );
    expect(section).toContain(
      `at least 75 % of the limit | 1 of 1; median 99 %, lowest 99 %: add, ${shape} | yes |`,
    );
    expect(section).toContain(
      `at least 65 % of the limit | 1 of 1; median 70 %, lowest 70 %: dx = dy·W, ${shape} | yes |`,
    );
    expect(section).toContain(
      `at least 80 % of the limit | 0 of 1; median 79 %, lowest 79 %: product x·Wᵀ, ${shape} | no |`,
    );
    expect(section).toContain('at least 92 % of the limit | not measured |  |');
    expect(section).toContain('<summary>the 2 rows that do not</summary>');
    expect(section).toContain('all 6 rows in `bench/results/f.json`');
    expect(section).toContain('| 50 (49-51) |');
    expect(section).not.toContain('| 71 (70-72) |');
  });

  test('plain SIMD meets the first promise by 70 % of the fused ceiling too', () => {
    const row = { ...kernel('M >= 64', 'dW', 85, 'simd'), gflops: 35 };
    expect(reaches(row, 50)).toBe(true);
    expect(reaches({ ...row, gflops: 34.9 }, 50)).toBe(false);
    expect(reaches(row, null)).toBe(false);
    expect(reaches({ ...row, kernels: 'relaxed-simd' }, 50)).toBe(false);
  });
});

describe('the section of scaling', () => {
  test('cells of a row', () => {
    const cells = [
      'LoRA forward',
      'M',
      'M=4 N=768 K=768 r=8',
      '1',
      '2.00 (1.00-4.00)',
      '20.0',
      '1.50x',
      '4.00x',
    ];
    expect(scaling.cells(point('M', 4, 20))).toEqual(cells);
    expect(cells).toHaveLength(scaling.columns.length);
  });

  test('shows the growth from end to end, folds the rest, and says what is missing', () => {
    const section = scalingSection(REPORT, 'f.json');
    expect(section).toContain('| LoRA forward | M from 1 to 16 | 16.0x | 1.50x | 10.0 to 25.0 |');
    expect(section).toContain('| LoRA forward | threads from 1 to 2 | 2.00x | 1.50x | 25.0 to 40.0 |');
    expect(section).toContain('<summary>all 5 rows</summary>');
    expect(section).toContain(': `bench/results/f.svg`.');
    expect(section).toContain('Not measured: 3 threads: there are two cores.');
  });
});

describe('the chart of scaling', () => {
  const svg = scalingChart(REPORT);

  test('a fused ceiling of 50 is the top of one thread, and rises with the threads', () => {
    // A plot is 308 wide and 160 high: the panel of M begins at 52, 96; that of threads at 432, 332.
    expect(svg.match(/<polyline class="ceiling"[^>]* points="[^"]*"/g)).toEqual([
      '<polyline class="ceiling" fill="none" points="52,96 206,96 360,96"',
      '<polyline class="ceiling" fill="none" points="432,412 740,332"',
    ]);
  });

  test('the speeds stand on logarithmic axes, with whiskers of their range', () => {
    expect(svg).toContain('<polyline class="a" points="52,224 206,192 360,176"/>');
    // 20 GFLOP/s at the median of 2 ms: 10 at 4 ms, 40 at 1 ms.
    expect(svg).toContain('<line class="whisker a" x1="203.5" y1="224" x2="203.5" y2="128"/>');
  });

  test('panels say what stands still, or that they were not measured', () => {
    expect(svg).toContain('Speed over M (d=768, r=8, one thread)');
    expect(svg).toContain('Speed over threads (M=64, d=768, r=8)');
    expect(svg.match(/not measured/g)).toHaveLength(2);
    expect(svg).toContain('Engine &lt;1&gt;');
    expect(svg).toContain('prefers-color-scheme: dark');
  });

  test('plain kernels are held against the plain ceiling; no rows are an error', () => {
    const rows = REPORT.rows.map((row) => ({ ...row, kernels: 'simd' }));
    expect(scalingChart({ ...REPORT, rows })).toContain('128-bit ceiling, 40 GFLOP/s a thread');
    expect(() => scalingChart({ ...REPORT, rows: [] })).toThrow('scalingChart: Engine <1> has no rows');
  });
});
