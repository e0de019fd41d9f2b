/** What is generated from the results is what is committed; and what pages are made of, over fixed numbers. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { PACKAGE, type Row } from '../../bench/core/records.js';
import { reaches } from '../../bench/kernels/goals.js';
import type { KernelRow } from '../../bench/kernels/suite.js';
import { suiteFiles, suiteSection, threadsSummary } from '../../bench/pages.js';
import {
  fastestTable,
  operationTable,
  peerCells,
  peerFiles,
  peersSection,
  sortedRows,
} from '../../bench/peers/pages.js';
import type { ScalingRow } from '../../bench/scaling/suite.js';
import { SUITES } from '../../bench/suites.js';
import { variantFiles } from '../../bench/variants/pages.js';
import { reportOf, rowOf } from './rows.js';

test.each([...suiteFiles(), ...peerFiles(), ...variantFiles()])(
  '%s is what npm run bench:readme makes of the results',
  (path, content) => {
    expect(readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')).toBe(content);
  },
);

describe('kernels', () => {
  const kernel = (
    group: KernelRow['group'],
    operation: string,
    percentOfLimit: number,
    more: Partial<KernelRow> = {},
  ): KernelRow => ({
    ...rowOf(PACKAGE, 1, [10], { operation, kernels: 'relaxed-simd' }),
    ...{ group, percentOfLimit, percentRange: [percentOfLimit - 1, percentOfLimit + 1] },
    ...{ limitMs: 1, limitedBy: 'ceiling', readingPercent: 12, readGBs: 30, ceiling: 50 },
    ...more,
  });

  test('a section says how many rows reach their share, names the lowest, and lists those that miss', () => {
    const rows = [
      kernel('skinny', 'dA', 50),
      kernel('skinny', 'dB', 71),
      kernel('vector', 'add', 99, { limitedBy: 'reading' }),
      kernel('vector', 'GELU', 40),
      kernel('M 9-63', 'dx = dy·W', 70),
      kernel('M 9-63', 'product x·Wᵀ', 79),
    ];
    const section = suiteSection(SUITES.kernels, ['f.json', reportOf('Engine 1', rows)]);
    const lowest = (percent: number, operation: string): string =>
      `lowest ${percent} %: ${operation}, M=256 N=768 K=768`;
    expect(section).toContain(`at least 67 % of the limit | 1 of 2; median 61 %, ${lowest(50, 'dA')} | no |`);
    expect(section).toContain(
      `at least 75 % of the limit | 1 of 1; median 99 %, ${lowest(99, 'add')} | yes |`,
    );
    expect(section).toContain(`65 % of the limit | 1 of 1; median 70 %, ${lowest(70, 'dx = dy·W')} | yes |`);
    expect(section).toContain(
      `80 % of the limit | 0 of 1; median 79 %, ${lowest(79, 'product x·Wᵀ')} | no |`,
    );
    expect(section).toContain('at least 92 % of the limit | not measured |  |');
    expect(section).toContain('<summary>of 6 rows the 2 that do not</summary>');
    expect(section).toContain('| 50 (49-51) |');
    expect(section).not.toContain('| 71 (70-72) |');
  });

  test('plain SIMD meets the first promise by 70 % of the fused ceiling too', () => {
    const row = kernel('M >= 64', 'dW', 85, { kernels: 'simd', gflops: 35 });
    expect(reaches(row, 50)).toBe(true);
    expect(reaches({ ...row, gflops: 34.9 }, 50)).toBe(false);
    expect(reaches(row, null)).toBe(false);
    expect(reaches({ ...row, kernels: 'relaxed-simd' }, 50)).toBe(false);
  });
});

test('scaling shows the growth from end to end, a bar a row, and what is missing', () => {
  const point = (axis: ScalingRow['axis'], value: number, median: number, threads = 1): ScalingRow => ({
    ...rowOf(PACKAGE, threads, [median], { operation: 'LoRA forward', shape: `M=${value}` }),
    ...{ axis, value, timeGrowth: 1.5, flopGrowth: value },
  });
  const rows = [point('M', 1, 20), point('M', 16, 8), point('threads', 1, 8), point('threads', 2, 5, 2)];
  const report = reportOf('Engine <1>', rows);
  const section = suiteSection(SUITES.scaling, ['f.json', report]);
  expect(section).toContain('| LoRA forward | M from 1 to 16 | 16.0x | 1.50x | 10.0 to 25.0 |');
  expect(section).toContain('| LoRA forward | threads from 1 to 2 | 2.00x | 1.50x | 25.0 to 40.0 |');
  expect(section).toContain(': `bench/results/f.svg`.');
  expect(section).toContain('- x, every operation: it is not here');
  const svg = SUITES.scaling.chart.draw(report);
  expect(svg.match(/<rect class="own/g)).toHaveLength(4);
  // Plain kernels stand under the plain ceiling.
  expect(svg).toContain('128-bit ceiling of one thread, 40 GFLOP/s');
});

const NEW = reportOf('Node 26.1.2 (V8 14)', [
  rowOf('slow', 1, [10, 20, 40]),
  rowOf(PACKAGE, 2, [2, 2.5, 4]),
  rowOf(PACKAGE, 1, [4, 5, 8]),
  rowOf('loops', 1, [30], { variant: 'unrolled' }),
]);
const PAGE = reportOf('Chromium 156.0.1', [rowOf(PACKAGE, 1, [5, 6, 7]), rowOf('slow', 2, [10, 20, 40])]);

test('threads: the ratios of rounds that are neighbours, and both times', () => {
  const own = { ...NEW, rows: NEW.rows.filter(({ contestant }) => contestant === PACKAGE) };
  expect(threadsSummary([own, { ...PAGE, rows: [] }])).toContain(
    '| linear forward, M=256 N=768 K=768, 2 threads | 2.00 (2.00-2.00); 2.50 for 5.00 |  |',
  );
});

describe('peers', () => {
  test('the summary has the fastest first, a factor over this package on as many threads, empty where not measured', () => {
    expect(operationTable('linear forward', [NEW, PAGE]).split('\n')).toEqual([
      '| linear forward, ms (range) | Node 26 | Chromium 156 |',
      '| --- | --- | --- |',
      '| **lora-wasm** | 5.00 (4.00-8.00) | 6.00 (5.00-7.00) |',
      '| slow | 20.0 (10.0-40.0), 4.00x |  |',
      '| loops (unrolled) | 30.0 (30.0-30.0), 7.50x |  |',
      '| **lora-wasm, 2 threads** | 2.50 (2.00-4.00) |  |',
      '| slow, 2 threads |  | 20.0 (10.0-40.0) |',
    ]);
  });

  test('rows are sorted by threads and speed, with the time over this package', () => {
    const cells = sortedRows(NEW.rows).map((one: Row) => peerCells(one, NEW.rows).slice(2));
    expect(cells).toEqual([
      ['1', PACKAGE, '5.00 (4.00-8.00)', '40.0', '50', ''],
      ['1', 'slow', '20.0 (10.0-40.0)', '10.0', '50', '4.00'],
      ['1', 'loops (unrolled)', '30.0 (30.0-30.0)', '6.7', '50', '7.50'],
      ['2', PACKAGE, '2.50 (2.00-4.00)', '80.0', '50', ''],
    ]);
  });

  test('a section names the engine, the file, the ways of a contestant and what was not measured', () => {
    const section = peersSection(['f.json', NEW]);
    expect(section).toContain('## Node 26.1.2 (V8 14), simd kernels');
    expect(section).toContain('in `bench/results/f.json`.');
    expect(section).toContain(': `bench/results/f.svg`.');
    expect(section).toContain('- loops (unrolled): ');
    expect(section).toContain('- x, every operation: it is not here');
  });

  test("the README's table has the five fastest of the first engine on one thread, whoever they are", () => {
    const step = (contestant: string, ms: number, threads = 1): Row =>
      rowOf(contestant, threads, [ms], { operation: 'LoRA training step', shape: 'M=256 N=768 K=768 r=8' });
    const rows = [step('f', 6), step('e', 5), step('d', 4), step('c', 3), step(PACKAGE, 2), step('a', 1)];
    const node = reportOf('Node 26.1.2 (V8 14)', [...rows, step('a', 0.5, 2)]);
    expect(fastestTable([node, reportOf('Chromium 156.0.1', [step(PACKAGE, 4)])]).split('\n')).toEqual([
      '| LoRA training step, ms | Node 26 | Chromium 156 |',
      '| --- | --- | --- |',
      '| a | 1.00 (0.50x) |  |',
      '| **lora-wasm** | 2.00 | 4.00 |',
      '| c | 3.00 (1.50x) |  |',
      '| d | 4.00 (2.00x) |  |',
      '| e | 5.00 (2.50x) |  |',
    ]);
  });
});
