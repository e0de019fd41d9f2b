/** What the benchmark rests on: its timing is fair, its charts and tables say what the numbers say. */
import { describe, expect, test } from 'vitest';
import { chartOf, groupsBy } from '../../bench/core/chart.js';
import { type Goal, goalsSummary } from '../../bench/core/goal.js';
import { folded, insertTables, markdownTable } from '../../bench/core/markdown.js';
import { callsASample, measure, pairedRatio, summarise } from '../../bench/core/measure.js';
import { PACKAGE, type Report } from '../../bench/core/records.js';
import { tickStep } from '../../src/cli/svg.js';
import { reportOf, rowOf } from './rows.js';

test('contestants take turns, the order reversed every round, each prepared before its turn', () => {
  const order: string[] = [];
  const task = (name: string) => ({
    name,
    run: () => void order.push(name),
    before: () => void order.push(`${name}!`),
  });
  const timings = measure([task('a'), task('b')], { rounds: 3, roundMs: 0 });
  const turns = order.filter((name) => name.endsWith('!'));
  // Two warm-ups, then the samples' sizes, then the rounds.
  expect(turns.slice(-6)).toEqual(['a!', 'b!', 'b!', 'a!', 'a!', 'b!']);
  expect([...timings.values()].map(({ rounds }) => rounds.length)).toEqual([3, 3]);
});

test('medians and paired ratios', () => {
  expect(summarise([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3, rounds: [3, 1, 2] });
  expect(summarise([4, 1, 2, 3]).median).toBe(2.5);
  // Both slow down in the second round: the ratio does not move.
  expect(pairedRatio({ rounds: [2, 20, 2] }, { rounds: [1, 10, 1] })).toBe(2);
});

/** A clock that goes in steps, over a time that each call of `run` and each look at the clock takes. */
function steppingClock(step: number, call: number): { run: () => void; clock: () => number } {
  let time = 0;
  return {
    run: () => {
      time += call;
    },
    clock: () => {
      time += step / 8;
      return step * Math.floor(time / step);
    },
  };
}

test.each([
  // A page's clock of 5 microseconds: half a millisecond a sample.
  [0.005, 0.001, 512],
  [0.005, 0.05, 16],
  [0.005, 0.6, 1],
  // Node's, of a tenth of a microsecond.
  [0.0001, 0.001, 16],
  [0.0001, 0.05, 1],
])('with a clock of %d ms a call of %d ms is sampled %d at a time', (step, call, calls) => {
  const { run, clock } = steppingClock(step, call);
  expect(callsASample(run, clock)).toBe(calls);
});

test('a call in which another process had the core is not taken for a long one', () => {
  const { run, clock } = steppingClock(0.005, 0.003);
  let first = true;
  let lost = 0;
  const interrupted = (): void => {
    run();
    if (first) lost = 100;
    first = false;
  };
  expect(callsASample(interrupted, () => clock() + lost)).toBe(callsASample(run, clock));
});

const REPORT: Report = reportOf('Engine 1', [
  rowOf('slow & <old>', 1, [10, 20, 40]),
  rowOf(PACKAGE, 1, [4, 5, 8]),
  rowOf('native', 1, [2, 2, 2]),
  rowOf(PACKAGE, 2, [2, 2.5, 4]),
]);

describe('the chart', () => {
  const draw = (report: Report, ceiling = 60): string =>
    chartOf(
      report,
      groupsBy(report.rows, ({ shape }) => shape),
      ceiling,
    );
  const svg = draw(REPORT);
  const numbers = (pattern: RegExp): number[] => [...svg.matchAll(pattern)].map((match) => Number(match[1]));

  test('bars are as long as their speed, the ceiling stands at its own', () => {
    // The ceiling of two threads, 120, is the largest: the axis is 510 wide.
    expect(numbers(/<rect[^>]* width="([\d.]+)"/g)).toEqual([42.5, 170, 425, 340]);
    expect(numbers(/<line class="ceiling" x1="([\d.]+)"/g)).toEqual([290 + 255, 290 + 510]);
    expect(svg).toContain('128-bit ceiling of 2 threads, 120 GFLOP/s');
    expect(svg).toContain('128-bit ceiling of one thread, 60 GFLOP/s');
  });

  test('whiskers reach from the slowest to the fastest round', () => {
    // This package at one thread: 200/8 = 25 to 200/4 = 50 GFLOP/s.
    expect(svg).toContain('<line class="whisker" x1="396.3" y1="61.5" x2="502.5" y2="61.5"/>');
  });

  test('names are escaped, threads are told, both colour schemes are there; no rows are an error', () => {
    expect(svg).toContain('slow &amp; &lt;old&gt;');
    expect(svg).toContain(`${PACKAGE}, 2 threads`);
    expect(svg).toContain('prefers-color-scheme: dark');
    expect(() => draw({ ...REPORT, rows: [] })).toThrow('chartOf: Engine 1 has no row');
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

describe('goals of several engines', () => {
  const [newer, page] = [reportOf('Node 26.1.2 (V8 14)', []), reportOf('Chromium 156.0.1', [])];
  const goals = (limit: string, measured: string | null, met: boolean | null): Goal[] => [
    { goal: 'a goal', limit, measured, met },
  ];

  test('are met or missed; engines with one limit share it', () => {
    const of = ({ engine }: Report): Goal[] => goals('at most 2', engine, engine === newer.engine);
    expect(goalsSummary([newer, page], of)).toContain(
      '| a goal | at most 2 | met: Node 26.1.2 (V8 14) | **missed**: Chromium 156.0.1 |',
    );
  });

  test('name the engines of each limit, and what was not measured', () => {
    const of = ({ engine }: Report): Goal[] =>
      engine === newer.engine ? goals('at most 2', '1', true) : goals('at most 3', null, null);
    expect(goalsSummary([newer, page], of)).toContain(
      '| a goal | at most 2 (Node 26); at most 3 (Chromium 156) | met: 1 | not measured |',
    );
  });
});

test('insertTables replaces what stands between the marks and needs both', () => {
  const readme = 'a\n<!-- x:start -->\nold\n<!-- x:end -->\nb';
  expect(insertTables(readme, 'new', 'x')).toBe('a\n<!-- x:start -->\nnew\n<!-- x:end -->\nb');
  expect(() => insertTables(readme, 'new', 'y')).toThrow('the page has no <!-- y:start -->');
});

test('a folded block has blank lines around its Markdown', () => {
  const table = markdownTable(['a', 'b'], [['1', '2']]);
  expect(folded('two', table)).toBe(
    '<details>\n<summary>two</summary>\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\n</details>',
  );
});
