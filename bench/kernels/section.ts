/** The results' section of one run of the suite `kernels`: the promises, and folded the rows that miss theirs; the file has all. */
import { folded, markdownTable, resultName } from '../readme-tables.js';
import type { Report } from '../records.js';
import { ceilingsText } from '../table.js';
import { kernelGoals, reaches } from './goals.js';
import type { KernelRow } from './suite.js';
import { KERNEL_COLUMNS, kernelCells } from './table.js';

/** In Markdown. */
export function kernelsSection(report: Report, file: string): string {
  const rows = report.rows as KernelRow[];
  const missed = rows.filter((row) => reaches(row, report.ceilings.fused) === false);
  const goals = kernelGoals(report).map(({ goal, limit, measured, met, lowest }) => [
    goal,
    limit,
    lowest === null ? 'not measured' : `${measured}: ${lowest.operation}, ${lowest.shape}`,
    met === null ? '' : met ? 'yes' : 'no',
  ]);
  return [
    `## ${report.engine}, ${rows[0]?.kernels ?? 'no'} kernels`,
    '',
    `${report.cpu}, one thread; ${ceilingsText(report)}. \`${report.command}\`, all ${rows.length} rows in ${resultName(file)}.`,
    '',
    markdownTable(['goal', 'limit', 'rows that reach it', 'all'], goals),
    '',
    folded(`the ${missed.length} rows that do not`, markdownTable(KERNEL_COLUMNS, missed.map(kernelCells))),
  ].join('\n');
}
