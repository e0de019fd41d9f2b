/** The README's section of one run of the suite `kernels`: what each group reaches of its limit, and every row folded. */
import { medianOf } from '../measure.js';
import { folded, markdownTable } from '../readme-tables.js';
import type { Report } from '../records.js';
import { ceilingsText } from '../table.js';
import type { KernelRow } from './suite.js';
import { KERNEL_COLUMNS, kernelCells } from './table.js';

/** In Markdown. */
export function kernelsSection(report: Report, file: string): string {
  const rows = report.rows as KernelRow[];
  return [
    `#### ${report.engine}, ${rows[0]?.kernels ?? 'no'} kernels`,
    '',
    `${report.cpu}, one thread; ${ceilingsText(report)}. \`${report.command}\`, in [${file}](bench/results/${file}).`,
    '',
    markdownTable(['group', 'rows', '% of limit, median', 'lowest'], groupsOf(rows)),
    '',
    folded(`all ${rows.length} rows`, markdownTable(KERNEL_COLUMNS, rows.map(kernelCells))),
  ].join('\n');
}

function groupsOf(rows: readonly KernelRow[]): string[][] {
  return [...new Set(rows.map(({ group }) => group))].map((group) => {
    const members = rows.filter((row) => row.group === group);
    const lowest = members.reduce((a, b) => (b.percentOfLimit < a.percentOfLimit ? b : a));
    return [
      group,
      String(members.length),
      medianOf(members.map((row) => row.percentOfLimit)).toFixed(0),
      `${lowest.percentOfLimit.toFixed(0)}: ${lowest.operation}, ${lowest.shape}`,
    ];
  });
}
