/** What the README shows of speed: five rows and one chart, from the newest results beside the peers. */
import { readFileSync } from 'node:fs';
import { pairedRatio } from './measure.js';
import { labelOf } from './peers/label.js';
import { sortedRows } from './peers/table.js';
import { chartName, insertTables, latestReports, markdownTable } from './readme-tables.js';
import { PACKAGE, type Report, type Row } from './records.js';
import { headOf } from './summary/engines.js';
import { figure } from './table.js';

const ROOT = new URL('../', import.meta.url);
const RESULTS = new URL('./results/', import.meta.url);
const OPERATION = 'LoRA training step';
const SHAPE = /^M=256 /;
const ROWS = 5;

/** Path and content of the README and of its chart, which is that of the newest Node. */
export function shownInReadme(): Map<string, string> {
  const results = latestReports(RESULTS, 'peers').reverse();
  const table = fastestTable(results.map(([, report]) => report));
  const chart = new URL(chartName(results[0]![0]), RESULTS);
  return new Map([
    ['README.md', insertTables(readFileSync(new URL('README.md', ROOT), 'utf8'), table, 'speed')],
    ['docs/speed.svg', readFileSync(chart, 'utf8')],
  ]);
}

/** The fastest on one thread in the first engine, an engine a column. */
export function fastestTable(reports: readonly Report[]): string {
  const columns = reports.map(({ rows }) => sortedRows(rows.filter(isShown)));
  const labels = columns[0]!.slice(0, ROWS).map(labelOf);
  const lines = labels.map((label) => [
    label === PACKAGE ? `**${label}**` : label,
    ...columns.map((rows) => cellOf(label, rows)),
  ]);
  return markdownTable([`${OPERATION}, ms`, ...reports.map(headOf)], lines);
}

function isShown({ operation, shape, threads }: Row): boolean {
  return operation === OPERATION && SHAPE.test(shape) && threads === 1;
}

function cellOf(label: string, rows: readonly Row[]): string {
  const row = rows.find((one) => labelOf(one) === label);
  const own = rows.find(({ contestant }) => contestant === PACKAGE);
  if (row === undefined || own === undefined) return '';
  return row === own ? figure(row.median) : `${figure(row.median)} (${pairedRatio(row, own).toFixed(2)}x)`;
}
