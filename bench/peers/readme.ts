/**
 * Writes the README's comparison, between its two `peers` marks, from the committed `*-peers.json` of `bench/results/`:
 * one section an engine, with its chart, table and what was not measured; the charts are written beside the results.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { insertTables, latestReports, markdownTable } from '../readme-tables.js';
import type { Report } from '../records.js';
import { ceilingsText } from '../table.js';
import { chartOf } from './chart.js';
import { PEER_COLUMNS, peerCells, sortedRows } from './table.js';

/** The shape that the chart shows; the table holds all. */
const CHARTED = /^M=256 /;

/** One file's section in Markdown. `chart` is the chart's path in the repository. */
export function peersSection(report: Report, file: string, chart: string): string {
  const versions = new Map(report.rows.map((row) => [row.contestant, describe(row)]));
  const missing = report.notMeasured.map(
    ({ contestant, operation, reason }) => `- ${contestant}, ${operation}: ${reason}`,
  );
  return [
    `#### ${report.engine}`,
    '',
    `${report.cpu}; ${ceilingsText(report)} of one thread. \`${report.command}\`, every row in [${file}](bench/results/${file}).`,
    '',
    `![GFLOP/s of each contestant in ${report.engine}, with the 128-bit ceiling](${chart})`,
    '',
    markdownTable(
      [...PEER_COLUMNS],
      sortedRows(report.rows).map((row) => peerCells(row, report.rows)),
    ),
    '',
    ...[...versions].map(([name, text]) => `- ${name}: ${text}`),
    '',
    'Not measured:',
    '',
    ...missing,
  ].join('\n');
}

function describe(row: object): string {
  const { version, settings } = row as { version?: unknown; settings?: unknown };
  return [version, settings].filter((text) => typeof text === 'string' && text !== '').join('; ');
}

function main(): void {
  const path = new URL('../../README.md', import.meta.url);
  const folder = new URL('../results/', import.meta.url);
  const sections = latestReports(folder, 'peers').map(([file, report]) => {
    const chart = file.replace(/\.json$/, '.svg');
    writeFileSync(new URL(chart, folder), chartOf(report, CHARTED));
    return peersSection(report, file, `bench/results/${chart}`);
  });
  writeFileSync(path, insertTables(readFileSync(path, 'utf8'), sections.join('\n\n'), 'peers'));
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) main();
