/** What a run prints: a table of its rows, what was not measured, its goals; and what is being measured meanwhile. */
import Table from 'cli-table3';
import { type Goal, goalCells } from './goal.js';
import type { Report } from './records.js';
import { ceilingsText } from './table.js';

export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const table = new Table({ head: [...head], style: { head: [], border: [], compact: true } });
  for (const row of rows) table.push([...row]);
  console.log(table.toString());
}

export function printReport(
  report: Report,
  columns: readonly string[],
  rows: readonly (readonly string[])[],
  goals: readonly Goal[] = [],
): void {
  console.log(`${report.cpu} | ${report.engine} | ${ceilingsText(report)} of one thread`);
  printTable(columns, rows);
  for (const [job, bytes] of Object.entries(report.peakResident ?? {}))
    console.log(`most memory of a process of its own, ${job}: ${(bytes / 1e6).toFixed(0)} MB`);
  for (const { contestant, operation, reason } of report.notMeasured)
    console.log(`not measured: ${contestant}, ${operation}: ${reason}`);
  if (goals.length > 0) printTable(['goal', 'limit', 'measured', 'met'], goals.map(goalCells));
}

/** Writes over the last line of a terminal; nothing where the output is none. */
export function showProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}
