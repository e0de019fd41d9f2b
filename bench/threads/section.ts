/** The README's section of one run of the suite `threads`. */
import { markdownTable } from '../readme-tables.js';
import type { Report, Row } from '../records.js';

/** In Markdown: times of one thread and of several side by side, and how often the first holds the second. */
export function threadsSection(report: Report, file: string): string {
  const text = ({ median, min, max }: Row): string =>
    `${median.toPrecision(3)} (${min.toPrecision(3)}-${max.toPrecision(3)})`;
  const rows = report.rows.flatMap((shared) => {
    if (shared.threads === 1 || shared.ratio === null) return [];
    const { operation, shape, threads, ratio } = shared;
    const alone = report.rows.find(
      (row) => row.threads === 1 && row.operation === operation && row.shape === shape,
    );
    const times = (1 / ratio).toFixed(2);
    return alone === undefined ? [] : [[operation, shape, text(alone), `${threads}`, text(shared), times]];
  });
  const head = ['operation', 'shape', '1 thread, ms (range)', 'threads', 'ms (range)', 'times as fast'];
  return [
    `#### ${report.engine}, ${report.rows[0]?.kernels ?? 'no'} kernels`,
    '',
    `${report.cpu}; \`${report.command}\`, in [${file}](bench/results/${file}).`,
    '',
    markdownTable(head, rows),
  ].join('\n');
}
