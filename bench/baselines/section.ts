/** The results' section of one run of the suite `bench`: its goals, and every row folded. */
import { goalsOf } from '../goals.js';
import { folded, markdownTable, resultName } from '../readme-tables.js';
import type { Report } from '../records.js';
import { COLUMNS, ceilingsText, cellsOf } from '../table.js';

/** In Markdown. */
export function baselinesSection(report: Report, file: string): string {
  const kernels = [...new Set(report.rows.map((row) => row.kernels))]
    .filter((name) => name !== 'none')
    .join(', ');
  const goals = goalsOf(report).map(({ goal, limit, measured, met }) => [
    goal,
    limit,
    measured ?? 'not measured',
    met === null ? '' : met ? 'yes' : 'no',
  ]);
  const rows = report.rows.map(cellsOf);
  return [
    `## ${report.engine}, ${kernels} kernels`,
    '',
    `${report.cpu}, one thread; ${ceilingsText(report)}. \`${report.command}\`, in ${resultName(file)}.`,
    '',
    markdownTable(['goal', 'limit', 'measured', 'met'], goals),
    '',
    folded(`all ${rows.length} rows`, markdownTable(COLUMNS, rows)),
  ].join('\n');
}
