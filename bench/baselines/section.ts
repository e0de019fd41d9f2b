/** The README's section of one run of the suite `bench`: its goals, and a choice of its rows folded. */
import { goalsOf } from '../goals.js';
import { folded, markdownTable } from '../readme-tables.js';
import type { Report } from '../records.js';
import { COLUMNS, ceilingsText, cellsOf } from '../table.js';

/** Shapes that the README shows; the files hold all. */
const SHOWN = /^M=240|^MNIST|^M=256 N=768 K=768( r=8)?$|^M=256 N=2048 K=2048( r=16)?$|^M=10 N=2000 K=1000/;

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
  const rows = report.rows.filter((row) => SHOWN.test(row.shape)).map(cellsOf);
  return [
    `#### ${report.engine}, ${kernels} kernels`,
    '',
    `${report.cpu}, one thread; ${ceilingsText(report)}. \`${report.command}\`, every row in [${file}](bench/results/${file}).`,
    '',
    markdownTable(['goal', 'limit', 'measured', 'met'], goals),
    '',
    folded(`${rows.length} of ${report.rows.length} rows`, markdownTable(COLUMNS, rows)),
  ].join('\n');
}
