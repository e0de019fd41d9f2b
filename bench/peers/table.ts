/** The readable form of a comparison: one table, printed here and written in Markdown by `section.ts`. */
import Table from 'cli-table3';
import { pairedRatio } from '../measure.js';
import { PACKAGE, type Report, type Row } from '../records.js';
import { ceilingsText, figure } from '../table.js';
import { labelOf } from './label.js';

export const PEER_COLUMNS = [
  'operation',
  'shape',
  'threads',
  'contestant',
  'ms (range)',
  'GFLOP/s',
  '% of ceiling',
  'time over lora-wasm',
] as const;

/** Rows of one operation and shape side by side, the fastest first, one thread before all. */
export function sortedRows(rows: readonly Row[]): Row[] {
  const groups = [...new Set(rows.map(groupOf))];
  const place = (row: Row): number => groups.indexOf(groupOf(row));
  return [...rows].sort((a, b) => place(a) - place(b) || a.threads - b.threads || a.median - b.median);
}

function groupOf(row: Row): string {
  return `${row.operation} ${row.shape}`;
}

/** Cells of a row; the last column is over this package at the same operation, shape and threads, round by round. */
export function peerCells(row: Row, rows: readonly Row[]): string[] {
  const own = rows.find(
    (other) =>
      other.contestant === PACKAGE && groupOf(other) === groupOf(row) && other.threads === row.threads,
  );
  return [
    row.operation,
    row.shape,
    String(row.threads),
    labelOf(row),
    `${figure(row.median)} (${figure(row.min)}-${figure(row.max)})`,
    row.gflops.toFixed(1),
    row.percentOfCeiling === null ? '' : row.percentOfCeiling.toFixed(0),
    own === undefined || own === row ? '' : pairedRatio(row, own).toFixed(2),
  ];
}

export function printPeers(report: Report): void {
  const table = new Table({ head: [...PEER_COLUMNS], style: { head: [], border: [], compact: true } });
  for (const row of sortedRows(report.rows)) table.push(peerCells(row, report.rows));
  console.log(`${report.cpu} | ${report.engine} | ${ceilingsText(report)} of one thread`);
  console.log(table.toString());
  for (const { contestant, operation, reason } of report.notMeasured) {
    console.log(`not measured: ${contestant}, ${operation}: ${reason}`);
  }
}
