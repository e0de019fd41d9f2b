/** The README's comparison: a table an operation, a line a contestant and number of threads, an engine a column. */
import { pairedRatio } from '../measure.js';
import { goalShape } from '../peers/goals.js';
import { labelOf } from '../peers/label.js';
import { OPERATIONS, type Operation } from '../peers/peer.js';
import { sortedRows } from '../peers/table.js';
import { markdownTable } from '../readme-tables.js';
import { PACKAGE, type Report, type Row } from '../records.js';
import { rangeText } from '../table.js';
import { headOf } from './engines.js';

/** In Markdown, at the shape that the goals are about. */
export function peersSummary(reports: readonly Report[]): string {
  return OPERATIONS.map((operation) => operationTable(operation, reports)).join('\n\n');
}

function operationTable(operation: Operation, reports: readonly Report[]): string {
  const shape = goalShape(operation);
  const columns = reports.map(({ rows }) =>
    sortedRows(rows.filter((row) => row.operation === operation && row.shape === shape)),
  );
  const names = [...new Set(columns.flat().map(nameOf))];
  const lines = names.map((name) => [
    name.startsWith(PACKAGE) ? `**${name}**` : name,
    ...columns.map((rows) => cellOf(name, rows)),
  ]);
  return markdownTable([`${operation}, ms (range)`, ...reports.map(headOf)], lines);
}

function nameOf(row: Row): string {
  return row.threads === 1 ? labelOf(row) : `${labelOf(row)}, ${row.threads} threads`;
}

/** Empty where the engine did not measure it. The factor is over this package on as many threads. */
function cellOf(name: string, rows: readonly Row[]): string {
  const row = rows.find((one) => nameOf(one) === name);
  if (row === undefined) return '';
  const own = rows.find(({ contestant, threads }) => contestant === PACKAGE && threads === row.threads);
  if (own === undefined || own === row) return rangeText(row);
  return `${rangeText(row)}, ${pairedRatio(row, own).toFixed(2)}x`;
}
