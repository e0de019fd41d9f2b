/** The results' section of one comparison with peers: its goals, chart, every row and what was not measured. */
import { chartLine, folded, markdownTable, resultName } from '../readme-tables.js';
import type { Report } from '../records.js';
import { ceilingsText } from '../table.js';
import { goalsTable } from './goals.js';
import { labelOf } from './label.js';
import { PEER_COLUMNS, peerCells, sortedRows } from './table.js';

/** In Markdown. */
export function peersSection(report: Report, file: string): string {
  const versions = new Map(report.rows.map((row) => [labelOf(row), describe(row)]));
  const missing = report.notMeasured.map(
    ({ contestant, operation, reason }) => `- ${contestant}, ${operation}: ${reason}`,
  );
  const rows = sortedRows(report.rows).map((row) => peerCells(row, report.rows));
  return [
    `## ${report.engine}`,
    '',
    `${report.cpu}; ${ceilingsText(report)} of one thread. \`${report.command}\`, in ${resultName(file)}.`,
    '',
    goalsTable(report),
    '',
    chartLine(`GFLOP/s of each contestant in ${report.engine}, with the 128-bit ceiling`, file),
    '',
    folded(`all ${rows.length} rows`, markdownTable([...PEER_COLUMNS], rows)),
    '',
    folded(
      'versions, settings, and what was not measured',
      [
        ...[...versions].map(([name, text]) => `- ${name}: ${text}`),
        '',
        'Not measured:',
        '',
        ...missing,
      ].join('\n'),
    ),
  ].join('\n');
}

function describe(row: object): string {
  const { version, settings } = row as { version?: unknown; settings?: unknown };
  return [version, settings].filter((text) => typeof text === 'string' && text !== '').join('; ');
}
