/** The results' section of one run of the suite `scaling`: its chart, the growth from end to end, and every row folded. */
import { chartLine, folded, markdownTable, resultName } from '../readme-tables.js';
import type { Report } from '../records.js';
import { ceilingsText, figure } from '../table.js';
import { type ScalingRow, scaling } from './suite.js';

/** In Markdown. */
export function scalingSection(report: Report, file: string): string {
  const rows = report.rows as ScalingRow[];
  const missing = report.notMeasured.map(
    ({ operation, reason }) => `\n\nNot measured: ${operation}: ${reason}.`,
  );
  return [
    `## ${report.engine}, ${rows[0]?.kernels ?? 'no'} kernels`,
    '',
    `${report.cpu}; ${ceilingsText(report)} of one thread. \`${report.command}\`, in ${resultName(file)}.${missing.join('')}`,
    '',
    chartLine(`GFLOP/s over M, d, r and threads in ${report.engine}, with the 128-bit ceiling`, file),
    '',
    markdownTable(['operation', 'moves', 'flops grow', 'time grows', 'GFLOP/s'], endToEnd(rows)),
    '',
    folded(
      `all ${rows.length} rows`,
      markdownTable(
        scaling.columns,
        rows.map((row) => scaling.cells(row)),
      ),
    ),
  ].join('\n');
}

/** One row an operation and axis: from its smallest value to its largest. */
function endToEnd(rows: readonly ScalingRow[]): string[][] {
  const groups = new Map<string, ScalingRow[]>();
  for (const row of rows) {
    const key = `${row.operation} ${row.axis}`;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups.values()].map((group) => {
    const [first, last] = [group[0]!, group.at(-1)!];
    return [
      first.operation,
      `${first.axis} from ${first.value} to ${last.value}`,
      `${figure(last.flopGrowth)}x`,
      `${figure(last.timeGrowth)}x`,
      `${first.gflops.toFixed(1)} to ${last.gflops.toFixed(1)}`,
    ];
  });
}
