/**
 * How speed moves with each size, as a picture: a panel an axis, GFLOP/s of both operations over the size, ranges as
 * whiskers, and the 128-bit ceiling, which grows with the threads. It has a background of its own, light or dark as the
 * reader's system is, so that it is readable on any page.
 */
import { escaped, fixed, line, speedRange, tickStep } from '../chart-parts.js';
import type { Report } from '../records.js';
import { AXES, type Axis, type ScalingRow } from './suite.js';

const WIDTH = 760;
const HEAD = 66;
const PANEL = { width: 380, height: 236 };
/** Around the plot of a panel. */
const MARGIN = { left: 52, right: 20, top: 30, bottom: 46 };
const PLOT = {
  width: PANEL.width - MARGIN.left - MARGIN.right,
  height: PANEL.height - MARGIN.top - MARGIN.bottom,
};
/** The whiskers of two operations stand side by side. */
const APART = 2.5;

const TITLES: Readonly<Record<Axis, string>> = {
  M: 'rows of the batch, M',
  d: 'inputs = outputs of the layer, d',
  r: 'rank, r',
  threads: 'threads',
};

const STYLE = `
.page { fill: #ffffff }
text { font: 12px system-ui, sans-serif; fill: #3d444d }
.title { font-weight: 600; font-size: 13px }
.tick { font-size: 11px }
.grid { stroke: #8b949e; stroke-opacity: .35 }
.ceiling { stroke: #cf222e; stroke-width: 1.5; stroke-dasharray: 5 4 }
.a, .b { fill: none; stroke-width: 2; stroke-linejoin: round }
.whisker { stroke-width: 1.2; stroke-opacity: .7 }
.a { stroke: #1a7f5a } .b { stroke: #0969da }
.dot.a { fill: #1a7f5a } .dot.b { fill: #0969da }
@media (prefers-color-scheme: dark) {
.page { fill: #0d1117 } text { fill: #c9d1d9 } .ceiling { stroke: #ff7b72 }
.a { stroke: #3fb984 } .b { stroke: #58a6ff } .dot.a { fill: #3fb984 } .dot.b { fill: #58a6ff }
}`.trim();

type Scale = (value: number) => number;

interface Panel {
  readonly left: number;
  readonly top: number;
  readonly x: Scale;
  readonly y: Scale;
}

/** The chart of a scaling report. @throws Error when it has no rows */
export function scalingChart(report: Report): string {
  const rows = report.rows as ScalingRow[];
  if (rows.length === 0) throw new Error(`scalingChart: ${report.engine} has no rows, expected some`);
  const ceiling = ceilingOf(report);
  const operations = [...new Set(rows.map((row) => row.operation))];
  const panels = AXES.map((axis, i) => {
    const left = MARGIN.left + PANEL.width * (i % 2);
    const top = HEAD + MARGIN.top + PANEL.height * (i >> 1);
    const members = rows.filter((row) => row.axis === axis);
    return panelOf(axis, members, operations, ceiling, left, top);
  });
  const height = HEAD + PANEL.height * Math.ceil(AXES.length / 2);
  const description = `GFLOP/s of ${operations.join(' and ')} in ${report.engine} over M, d, r and threads`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img">`,
    `<title>${escaped(description)}</title>`,
    `<style>${STYLE}</style>`,
    `<rect class="page" width="${WIDTH}" height="${height}"/>`,
    `<text class="title" x="12" y="24">${escaped(`How speed moves with the size, ${report.engine}`)}</text>`,
    ...legend(operations, ceiling),
    ...panels.flat(),
    '</svg>',
    '',
  ].join('\n');
}

/** One thread's: of the build that ran. */
function ceilingOf({ ceilings: { fused, plain }, rows }: Report): number {
  return rows[0]?.kernels === 'relaxed-simd' && fused !== null ? fused : plain;
}

function legend(operations: readonly string[], ceiling: number): string[] {
  const y = 48;
  const parts: string[] = [];
  let x = 12;
  const entry = (mark: string, text: string): void => {
    parts.push(mark, `<text x="${x + 30}" y="${y}">${escaped(text)}</text>`);
    x += 48 + 6.6 * text.length;
  };
  for (const [i, operation] of operations.entries()) {
    const kind = kindOf(i);
    entry(`${line(kind, x, y - 4, x + 24, y - 4)}\n${dot(kind, x + 12, y - 4)}`, operation);
  }
  const text = `128-bit ceiling, ${ceiling.toFixed(0)} GFLOP/s a thread; whiskers: range of the rounds`;
  entry(line('ceiling', x, y - 4, x + 24, y - 4), text);
  return parts;
}

/** The first operation has round marks, the second square ones. */
function kindOf(operation: number): 'a' | 'b' {
  return operation === 0 ? 'a' : 'b';
}

function dot(kind: 'a' | 'b', x: number, y: number): string {
  return kind === 'a'
    ? `<circle class="dot a" cx="${fixed(x)}" cy="${fixed(y)}" r="3"/>`
    : `<rect class="dot b" x="${fixed(x - 2.5)}" y="${fixed(y - 2.5)}" width="5" height="5"/>`;
}

function panelOf(
  axis: Axis,
  rows: readonly ScalingRow[],
  operations: readonly string[],
  ceiling: number,
  left: number,
  top: number,
): string[] {
  const values = [...new Set(rows.map((row) => row.value))].sort((a, b) => a - b);
  const middle = left + PLOT.width / 2;
  const name = `<text x="${fixed(middle)}" y="${top + PLOT.height + 36}" text-anchor="middle">${TITLES[axis]}</text>`;
  if (values.length < 2) {
    const y = top + PLOT.height / 2;
    return [`<text x="${fixed(middle)}" y="${y}" text-anchor="middle">not measured</text>`, name];
  }
  const threads = (value: number): number => (axis === 'threads' ? value : 1);
  const fastest = Math.max(ceiling * threads(values.at(-1)!), ...rows.map((row) => speedRange(row).high));
  const step = tickStep(fastest);
  const highest = step * Math.ceil(fastest / step);
  const [first, last] = [Math.log2(values[0]!), Math.log2(values.at(-1)!)];
  // Sizes double from tick to tick: a logarithmic axis sets them apart evenly.
  const x: Scale = (value) => left + (PLOT.width * (Math.log2(value) - first)) / (last - first);
  const y: Scale = (gflops) => top + PLOT.height * (1 - gflops / highest);
  const panel: Panel = { left, top, x, y };
  const limit = values.map((value) => `${fixed(x(value))},${fixed(y(ceiling * threads(value)))}`);
  return [
    `<text class="title" x="${left}" y="${top - 11}">${escaped(titleOf(rows[0]!))}</text>`,
    ...ticks(panel, values, step, highest),
    name,
    `<polyline class="ceiling" fill="none" points="${limit.join(' ')}"/>`,
    ...operations.flatMap((operation, i) =>
      series(
        panel,
        kindOf(i),
        rows.filter((row) => row.operation === operation),
      ),
    ),
  ];
}

/** What moves and what stands still in a panel, read from the shape of its first row. */
function titleOf({ axis, shape, threads }: ScalingRow): string {
  const size = (name: string): string => new RegExp(`${name}=(\\d+)`).exec(shape)?.[1] ?? '?';
  const still = [
    ['M', `M=${size('M')}`],
    ['d', `d=${size('N')}`],
    ['r', `r=${size('r')}`],
    ['threads', threads === 1 ? 'one thread' : `${threads} threads`],
  ].filter(([name]) => name !== axis);
  return `Speed over ${axis} (${still.map(([, text]) => text).join(', ')})`;
}

function ticks(
  { left, top, x, y }: Panel,
  values: readonly number[],
  step: number,
  highest: number,
): string[] {
  const parts: string[] = [];
  const [right, bottom] = [left + PLOT.width, top + PLOT.height];
  for (let gflops = 0; gflops <= highest; gflops += step) {
    parts.push(line('grid', left, y(gflops), right, y(gflops)));
    parts.push(
      `<text class="tick" x="${left - 7}" y="${fixed(y(gflops) + 4)}" text-anchor="end">${gflops}</text>`,
    );
  }
  for (const value of values) {
    parts.push(line('grid', x(value), bottom, x(value), bottom + 4));
    parts.push(
      `<text class="tick" x="${fixed(x(value))}" y="${bottom + 17}" text-anchor="middle">${value}</text>`,
    );
  }
  const [titleX, titleY] = [left - 38, top + PLOT.height / 2];
  parts.push(
    `<text text-anchor="middle" transform="translate(${titleX} ${fixed(titleY)}) rotate(-90)">GFLOP/s</text>`,
  );
  return parts;
}

function series({ x, y }: Panel, kind: 'a' | 'b', rows: readonly ScalingRow[]): string[] {
  const points = rows.map(({ value, gflops }) => `${fixed(x(value))},${fixed(y(gflops))}`);
  return [
    ...rows.map((row) => {
      const { low, high } = speedRange(row);
      const at = x(row.value) + (kind === 'a' ? -APART : APART);
      return line(`whisker ${kind}`, at, y(low), at, y(high));
    }),
    `<polyline class="${kind}" points="${points.join(' ')}"/>`,
    ...rows.map(({ value, gflops }) => dot(kind, x(value), y(gflops))),
  ];
}
