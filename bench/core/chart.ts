/**
 * The one chart: bars of GFLOP/s in groups, the range of the rounds as a whisker, the 128-bit ceiling as a line for each number of
 * threads. Plain SVG without a background, readable on light and on dark pages.
 */
import { escaped, fixed, line, svg, tickStep } from '../../src/cli/svg.js';
import { labelOf, PACKAGE, type Report, type Row } from './records.js';

const WIDTH = 860;
const LEFT = 290;
const RIGHT = 60;
const BAR = 15;
const GAP = 5;
const TITLE = 34;
const FOOT = 24;
const LABEL = 16;

const STYLE = `
text { font: 12px system-ui, sans-serif; fill: #3d444d }
.title { font-weight: 600; font-size: 13px }
.grid { stroke: #8b949e; stroke-opacity: .35 }
.whisker { stroke: #3d444d; stroke-width: 1.5 }
.ceiling { stroke: #cf222e; stroke-width: 1.5; stroke-dasharray: 5 4 }
.ceiling-text { fill: #cf222e }
.own { fill: #1a7f5a } .peer { fill: #6e86a6 } .many { fill-opacity: .55 }
@media (prefers-color-scheme: dark) {
text { fill: #c9d1d9 } .whisker { stroke: #e6edf3 } .ceiling { stroke: #ff7b72 } .ceiling-text { fill: #ff7b72 }
.own { fill: #3fb984 } .peer { fill: #7d94b5 }
}`.trim();

/** Rows under one title, each with its name. */
interface BarGroup {
  readonly title: string;
  readonly bars: readonly (readonly [name: string, row: Row])[];
}

/** Rows by the title that each is given, in order. */
export function groupsBy(
  rows: readonly Row[],
  titleOf: (row: Row) => string,
  nameOf = threadedName,
): BarGroup[] {
  return [...new Set(rows.map(titleOf))].map((title) => ({
    title,
    bars: rows.filter((row) => titleOf(row) === title).map((row) => [nameOf(row), row]),
  }));
}

/** A contestant, and its threads where they are several. */
export function threadedName(row: Row): string {
  return row.threads > 1 ? `${labelOf(row)}, ${threadsText(row.threads)}` : labelOf(row);
}

export function threadsText(threads: number): string {
  return threads === 1 ? 'one thread' : `${threads} threads`;
}

type Scale = (gflops: number) => number;

/** @throws Error when there is no row */
export function chartOf({ engine }: Report, groups: readonly BarGroup[], ceiling: number): string {
  const rows = groups.flatMap(({ bars }) => bars.map(([, row]) => row));
  if (rows.length === 0) throw new Error(`chartOf: ${engine} has no row to show, expected some`);
  const threads = [...new Set(rows.map((row) => row.threads))].sort((a, b) => a - b);
  const fastest = Math.max(ceiling * threads.at(-1)!, ...rows.map((row) => speedRange(row).high));
  const step = tickStep(fastest);
  const top = step * Math.ceil(fastest / step);
  const x: Scale = (gflops) => LEFT + ((WIDTH - LEFT - RIGHT) * gflops) / top;
  const parts: string[] = [];
  let y = 0;
  for (const { title, bars } of groups) {
    parts.push(`<text class="title" x="0" y="${y + TITLE - 12}">${escaped(title)}</text>`);
    y += TITLE;
    for (const [name, row] of bars) {
      parts.push(barOf(name, row, y, x));
      y += BAR + GAP;
    }
  }
  const height = y + FOOT + LABEL * threads.length;
  const description = `GFLOP/s of ${rows.length} measurements in ${engine}; the ceiling is ${ceiling.toFixed(1)}`;
  const lines = [...ticks(step, top, x, y), ...ceilings(ceiling, threads, x, y)];
  return svg(WIDTH, height, description, STYLE, [...lines, ...parts]);
}

function barOf(name: string, row: Row, y: number, x: Scale): string {
  const { low, high } = speedRange(row);
  const middle = y + BAR / 2;
  const kind = `${row.contestant === PACKAGE ? 'own' : 'peer'}${row.threads > 1 ? ' many' : ''}`;
  return [
    `<text x="${LEFT - 8}" y="${y + BAR - 3}" text-anchor="end">${escaped(name)}</text>`,
    `<rect class="${kind}" x="${LEFT}" y="${y}" width="${fixed(x(row.gflops) - LEFT)}" height="${BAR}" rx="2"/>`,
    line('whisker', x(low), middle, x(high), middle),
    line('whisker', x(low), middle - 3, x(low), middle + 3),
    line('whisker', x(high), middle - 3, x(high), middle + 3),
    `<text x="${WIDTH}" y="${y + BAR - 3}" text-anchor="end">${row.gflops.toFixed(1)}</text>`,
  ].join('\n');
}

/** A line for each number of threads, each label on a line of its own. */
function ceilings(one: number, threads: readonly number[], x: Scale, bottom: number): string[] {
  return threads.flatMap((count, i) => {
    const at = x(one * count);
    const label = `128-bit ceiling of ${threadsText(count)}, ${(one * count).toFixed(0)} GFLOP/s`;
    const y = bottom + FOOT + LABEL * (i + 0.5);
    return [
      line('ceiling', at, TITLE - 6, at, y - 11),
      `<text class="ceiling-text" x="${fixed(at)}" y="${fixed(y)}" text-anchor="middle">${label}</text>`,
    ];
  });
}

function ticks(step: number, top: number, x: Scale, bottom: number): string[] {
  const parts: string[] = [];
  for (let value = 0; value <= top; value += step) {
    parts.push(line('grid', x(value), TITLE - 6, x(value), bottom));
    parts.push(`<text x="${fixed(x(value))}" y="${bottom + 16}" text-anchor="middle">${value}</text>`);
  }
  return parts;
}

/** Smallest and largest GFLOP/s: the times' range turned round. */
export function speedRange({ gflops, median, min, max }: Row): { low: number; high: number } {
  return { low: (gflops * median) / max, high: (gflops * median) / min };
}
