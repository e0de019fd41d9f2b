/** The readable form of a run: one table over all rows, and the goals. */
import Table from 'cli-table3';
import { goalsOf } from './goals.js';
import type { Range, Report, Row } from './records.js';

/** Columns of a row as text; the README's tables use the same. */
export const COLUMNS = [
  'shape',
  'operation',
  'kernel ms (range)',
  'end to end ms',
  'GFLOP/s',
  '% of ceiling',
  'time ratio',
  'flop ratio',
] as const;

export function cellsOf(row: Row): string[] {
  return [
    row.shape,
    row.contestant === 'lora-wasm' ? row.operation : `${row.contestant}, ${row.operation}`,
    `${figure(row.median)} (${figure(row.min)}-${figure(row.max)})`,
    row.endToEnd === null ? '' : figure(row.endToEnd.median),
    row.gflops.toFixed(1),
    row.percentOfCeiling === null ? '' : row.percentOfCeiling.toFixed(0),
    row.ratio === null ? '' : row.ratio.toFixed(3),
    row.flopRatio === null ? '' : row.flopRatio.toFixed(3),
  ];
}

/** Three digits that count. */
export function figure(ms: Range['median']): string {
  return ms >= 100 ? ms.toFixed(0) : ms.toPrecision(3);
}

export function ceilingsText({ ceilings }: Report): string {
  const fused = ceilings.fused === null ? 'not measured' : `${ceilings.fused.toFixed(1)} GFLOP/s`;
  const read = ceilings.readGBs === null ? '' : `, memory read ${ceilings.readGBs.toFixed(1)} GB/s`;
  return `ceilings: fused ${fused}, plain ${ceilings.plain.toFixed(1)} GFLOP/s${read}`;
}

export function printReport(report: Report): void {
  const table = new Table({ head: [...COLUMNS], style: { head: [], border: [], compact: true } });
  for (const row of report.rows) table.push(cellsOf(row));
  console.log(`${report.cpu} | ${report.engine} | one thread | ${ceilingsText(report)}`);
  console.log(table.toString());
  console.log(
    'Forward rows: time and flops over the plain forward at the same shape. LoRA step: over the full step.',
  );
  for (const { contestant, operation, reason } of report.notMeasured) {
    console.log(`not measured: ${contestant}, ${operation}: ${reason}`);
  }
  console.log('\nHow fast');
  const goals = new Table({
    head: ['goal', 'limit', 'measured', 'met'],
    style: { head: [], border: [] },
    wordWrap: true,
  });
  for (const { goal, limit, measured, met } of goalsOf(report)) {
    goals.push([goal, limit, measured ?? 'not measured', met === null ? '-' : met ? 'yes' : 'no']);
  }
  console.log(goals.toString());
}
