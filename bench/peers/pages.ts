/** What is generated from the committed comparisons: charts, the page of all rows, the summary of it, and the README's table and chart. */
import { chartOf, groupsBy, threadedName } from '../core/chart.js';
import { goalsSummary } from '../core/goal.js';
import { chartLine, chartName, insertTables, markdownTable } from '../core/markdown.js';
import { pairedRatio } from '../core/measure.js';
import { OPERATIONS, type Operation } from '../core/problem.js';
import { labelOf, PACKAGE, type Report, type Row } from '../core/records.js';
import { type Result, resultsOf, SUMMARY, sectionOf, textOf } from '../core/results.js';
import { ceilingsText, figure, headOf, rangeText } from '../core/table.js';
import { goalShape, peerGoals } from './goals.js';

const CHART = 'GFLOP/s of each contestant, with the 128-bit ceiling,';

/** Path in the repository and content of each file. What stands outside a page's marks stays as it is. */
export function peerFiles(): Map<string, string> {
  const results = resultsOf('peers');
  const reports = results.map(([, report]) => report);
  const files = new Map<string, string>();
  for (const [file, report] of results) files.set(`bench/results/${chartName(file)}`, peersChart(report));
  const page = 'docs/results/peers.md';
  files.set(page, insertTables(textOf(page), results.map(peersSection).join('\n\n'), 'peers'));
  const summaries = {
    machines: reports.map(machineOf).join('\n'),
    peers: OPERATIONS.map((operation) => operationTable(operation, reports)).join('\n\n'),
    'peers-charts': results.map(([file, report]) => `- ${chartLine(CHART, report, file)}`).join('\n'),
    'peers-goals': goalsSummary(reports, ({ rows }) => peerGoals(rows)),
  };
  const summary = Object.entries(summaries).reduce(
    (text, [name, part]) => insertTables(text, part, name),
    textOf(SUMMARY),
  );
  files.set(SUMMARY, summary);
  files.set('README.md', insertTables(textOf('README.md'), fastestTable(reports), 'speed'));
  return files.set('docs/speed.svg', peersChart(reports[0]!));
}

/** Every operation at the goals' number of rows. */
function peersChart(report: Report): string {
  const rows = sortedRows(report.rows.filter(({ shape }) => shape.startsWith('M=256 ')));
  return chartOf(report, groupsBy(rows, groupOf), report.ceilings.fused ?? report.ceilings.plain);
}

function machineOf(report: Report): string {
  const kernels = report.rows.find(({ contestant }) => contestant === PACKAGE)?.kernels ?? 'no';
  const made = `${report.date}, commit ${report.commit.slice(0, 7)}`;
  return `- ${report.engine}, ${kernels} kernels: ${report.cpu}; ${ceilingsText(report)} of one thread; ${made}.`;
}

export function peersSection(result: Result): string {
  const [, { rows }] = result;
  const versions = new Map(rows.map((row) => [labelOf(row), describe(row)]));
  return sectionOf(result, {
    goals: peerGoals(rows),
    chart: CHART,
    columns: PEER_COLUMNS,
    rows: sortedRows(rows).map((row) => peerCells(row, rows)),
    more: ['versions and settings', [...versions].map(([name, text]) => `- ${name}: ${text}`).join('\n')],
  });
}

function describe(row: object): string {
  const { version, settings } = row as { version?: unknown; settings?: unknown };
  return [version, settings].filter((text) => typeof text === 'string' && text !== '').join('; ');
}

export const PEER_COLUMNS = [
  ...['operation', 'shape', 'threads', 'contestant', 'ms (range)', 'GFLOP/s', '% of ceiling'],
  'time over lora-wasm',
];

/** Rows of one operation and shape side by side, the fastest first, one thread before all. */
export function sortedRows(rows: readonly Row[]): Row[] {
  const groups = [...new Set(rows.map(groupOf))];
  const place = (row: Row): number => groups.indexOf(groupOf(row));
  return [...rows].sort((a, b) => place(a) - place(b) || a.threads - b.threads || a.median - b.median);
}

function groupOf(row: Row): string {
  return `${row.operation}, ${row.shape}`;
}

/** This package at the same operation, shape and threads; none for itself. */
function ownOf(row: Row, rows: readonly Row[]): Row | undefined {
  const own = rows.find(
    (other) =>
      other.contestant === PACKAGE && groupOf(other) === groupOf(row) && other.threads === row.threads,
  );
  return own === row ? undefined : own;
}

/** Cells of a row; the last is its time over this package's, round by round. */
export function peerCells(row: Row, rows: readonly Row[]): string[] {
  const own = ownOf(row, rows);
  return [
    ...[row.operation, row.shape, String(row.threads), labelOf(row), rangeText(row), row.gflops.toFixed(1)],
    row.percentOfCeiling === null ? '' : row.percentOfCeiling.toFixed(0),
    own === undefined ? '' : pairedRatio(row, own).toFixed(2),
  ];
}

/** Rows at the shape of the goals, the fastest first. */
function goalRows({ rows }: Report, operation: Operation): Row[] {
  return sortedRows(rows.filter((row) => row.operation === operation && row.shape === goalShape(operation)));
}

/** A line a name, an engine a column: what `text` says of its row, and the time over this package's. */
function sideBySide(
  head: string,
  reports: readonly Report[],
  columns: readonly (readonly Row[])[],
  names: readonly string[],
  text: (row: Row, ratio: string | null) => string,
): string {
  const cellOf = (name: string, rows: readonly Row[]): string => {
    const row = rows.find((one) => threadedName(one) === name);
    if (row === undefined) return '';
    const own = ownOf(row, rows);
    return text(row, own === undefined ? null : `${pairedRatio(row, own).toFixed(2)}x`);
  };
  const lines = names.map((name) => [
    name.startsWith(PACKAGE) ? `**${name}**` : name,
    ...columns.map((rows) => cellOf(name, rows)),
  ]);
  return markdownTable([head, ...reports.map(headOf)], lines);
}

/** The summary's comparison: every contestant and number of threads. */
export function operationTable(operation: Operation, reports: readonly Report[]): string {
  const columns = reports.map((report) => goalRows(report, operation));
  const names = [...new Set(columns.flat().map(threadedName))];
  return sideBySide(`${operation}, ms (range)`, reports, columns, names, (row, ratio) =>
    ratio === null ? rangeText(row) : `${rangeText(row)}, ${ratio}`,
  );
}

const README_ROWS = 5;

/** The README's table: the fastest training steps on one thread in the first engine. */
export function fastestTable(reports: readonly Report[]): string {
  const operation = 'LoRA training step';
  const columns = reports.map((report) => goalRows(report, operation).filter(({ threads }) => threads === 1));
  const names = columns[0]!.slice(0, README_ROWS).map(threadedName);
  return sideBySide(`${operation}, ms`, reports, columns, names, (row, ratio) =>
    ratio === null ? figure(row.median) : `${figure(row.median)} (${ratio})`,
  );
}
