/**
 * The comparison as a picture: bars of GFLOP/s, one a contestant and number of threads, the range as a whisker, the
 * 128-bit ceiling as a line for each number of threads. Plain SVG without a background, readable on light and on dark pages.
 */
import { escaped, fixed, line, speedRange, tickStep } from '../chart-parts.js';
import { PACKAGE, type Report, type Row } from '../records.js';
import { threadsText } from './host.js';
import { labelOf } from './label.js';
import { sortedRows } from './table.js';

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

/** A chart of the rows at one M, every operation a group. @throws Error when none is there */
export function chartOf(report: Report, shape: RegExp): string {
  const rows = sortedRows(report.rows.filter((row) => shape.test(row.shape)));
  if (rows.length === 0) throw new Error(`chartOf: no row of ${report.engine} has a shape like ${shape}`);
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const title = `${row.operation}, ${row.shape}`;
    groups.set(title, [...(groups.get(title) ?? []), row]);
  }
  const ceiling = report.ceilings.fused ?? report.ceilings.plain;
  const threads = [...new Set(rows.map((row) => row.threads))].sort((a, b) => a - b);
  const fastest = Math.max(ceiling * threads.at(-1)!, ...rows.map((row) => speedRange(row).high));
  const step = tickStep(fastest);
  const top = step * Math.ceil(fastest / step);
  const x = (gflops: number): number => LEFT + ((WIDTH - LEFT - RIGHT) * gflops) / top;
  const parts: string[] = [];
  let y = 0;
  for (const [title, members] of groups) {
    parts.push(`<text class="title" x="0" y="${y + TITLE - 12}">${escaped(title)}</text>`);
    y += TITLE;
    for (const row of members) {
      parts.push(barOf(row, y, x));
      y += BAR + GAP;
    }
  }
  const height = y + FOOT + LABEL * threads.length;
  const description = `GFLOP/s of ${rows.length} measurements in ${report.engine}; the ceiling is ${ceiling.toFixed(1)}`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img">`,
    `<title>${escaped(description)}</title>`,
    `<style>${STYLE}</style>`,
    ...ticks(step, top, x, y),
    ...ceilings(ceiling, threads, x, y),
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}

function barOf(row: Row, y: number, x: (gflops: number) => number): string {
  const { low, high } = speedRange(row);
  const middle = y + BAR / 2;
  const kind = `${row.contestant === PACKAGE ? 'own' : 'peer'}${row.threads > 1 ? ' many' : ''}`;
  const name = row.threads > 1 ? `${labelOf(row)}, ${row.threads} threads` : labelOf(row);
  const value = `<text x="${WIDTH}" y="${y + BAR - 3}" text-anchor="end">${row.gflops.toFixed(1)}</text>`;
  return [
    `<text x="${LEFT - 8}" y="${y + BAR - 3}" text-anchor="end">${escaped(name)}</text>`,
    `<rect class="${kind}" x="${LEFT}" y="${y}" width="${fixed(x(row.gflops) - LEFT)}" height="${BAR}" rx="2"/>`,
    line('whisker', x(low), middle, x(high), middle),
    line('whisker', x(low), middle - 3, x(low), middle + 3),
    line('whisker', x(high), middle - 3, x(high), middle + 3),
    value,
  ].join('\n');
}

/** A line for each number of threads, each label on a line of its own. */
function ceilings(
  one: number,
  threads: readonly number[],
  x: (gflops: number) => number,
  bottom: number,
): string[] {
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

function ticks(step: number, top: number, x: (gflops: number) => number, bottom: number): string[] {
  const parts: string[] = [];
  for (let value = 0; value <= top; value += step) {
    parts.push(line('grid', x(value), TITLE - 6, x(value), bottom));
    parts.push(`<text x="${fixed(x(value))}" y="${bottom + 16}" text-anchor="middle">${value}</text>`);
  }
  return parts;
}
