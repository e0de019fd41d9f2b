/** The printed form of a run: one table over all rows, what was not measured, the goals; and what is being measured meanwhile. */
import Table from 'cli-table3';
import type { Report } from './records.js';
import type { Suite } from './suite.js';
import { ceilingsText } from './table.js';

export function printReport(report: Report, { columns, cells, note, goals }: Suite): void {
  const table = new Table({ head: [...columns], style: { head: [], border: [], compact: true } });
  for (const row of report.rows) table.push(cells(row));
  console.log(`${report.cpu} | ${report.engine} | ${ceilingsText(report)} of one thread`);
  console.log(table.toString());
  if (note !== undefined) console.log(note);
  for (const { contestant, operation, reason } of report.notMeasured) {
    console.log(`not measured: ${contestant}, ${operation}: ${reason}`);
  }
  if (goals === undefined) return;
  console.log('\nHow fast');
  const held = new Table({
    head: ['goal', 'limit', 'measured', 'met'],
    style: { head: [], border: [] },
    wordWrap: true,
  });
  for (const { goal, limit, measured, met } of goals(report)) {
    held.push([goal, limit, measured ?? 'not measured', met === null ? '-' : met ? 'yes' : 'no']);
  }
  console.log(held.toString());
}

/** Writes over the last line of a terminal; nothing where the output is none. */
export function showProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}
