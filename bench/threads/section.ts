/** The results' section of one run of the suite `threads`. */
import { pairedRatio } from '../measure.js';
import { markdownTable, resultName } from '../readme-tables.js';
import type { Report, Row } from '../records.js';
import { rangeText } from '../table.js';

/** The same work on one thread and on several, measured in turn. */
export interface Pair {
  readonly alone: Row;
  readonly shared: Row;
}

export function pairsOf({ rows }: Report): Pair[] {
  return rows.flatMap((shared) => {
    const alone = rows.find(
      (row) => row.threads === 1 && row.operation === shared.operation && row.shape === shared.shape,
    );
    return shared.threads === 1 || alone === undefined ? [] : [{ alone, shared }];
  });
}

/** In Markdown: times of one thread and of several side by side, and how often the first holds the second. */
export function threadsSection(report: Report, file: string): string {
  const rows = pairsOf(report).map(({ alone, shared }) => [
    shared.operation,
    shared.shape,
    rangeText(alone),
    String(shared.threads),
    rangeText(shared),
    pairedRatio(alone, shared).toFixed(2),
  ]);
  const head = ['operation', 'shape', '1 thread, ms (range)', 'threads', 'ms (range)', 'times as fast'];
  return [
    `## ${report.engine}, ${report.rows[0]?.kernels ?? 'no'} kernels`,
    '',
    `${report.cpu}; \`${report.command}\`, in ${resultName(file)}.`,
    '',
    markdownTable(head, rows),
  ].join('\n');
}
