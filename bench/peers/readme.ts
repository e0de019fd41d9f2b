/**
 * Writes the README's comparison, between its two `peers` marks, from the committed `*-peers.json` of `bench/results/`:
 * one section an engine, with its chart, table and what was not measured; the charts are written beside the results.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { folded, insertTables, latestReports, markdownTable } from '../readme-tables.js';
import type { Report } from '../records.js';
import { ceilingsText } from '../table.js';
import { chartOf } from './chart.js';
import { FULL } from './effort.js';
import { goalsTable } from './goals.js';
import { labelOf } from './label.js';
import { PEER_COLUMNS, peerCells, sortedRows } from './table.js';

/** The shape that the chart shows, and those of the table; the files hold all. */
const CHARTED = /^M=256 /;
const SHOWN = /^M=(256|10|1) /;

/** One file's section in Markdown. `chart` is the chart's path in the repository. */
export function peersSection(report: Report, file: string, chart: string): string {
  const versions = new Map(report.rows.map((row) => [labelOf(row), describe(row)]));
  const missing = report.notMeasured.map(
    ({ contestant, operation, reason }) => `- ${contestant}, ${operation}: ${reason}`,
  );
  const shown = sortedRows(report.rows.filter((row) => SHOWN.test(row.shape))).map((row) =>
    peerCells(row, report.rows),
  );
  return [
    `#### ${report.engine}`,
    '',
    `${report.cpu}; ${ceilingsText(report)} of one thread. \`${report.command}\`, every row in [${file}](bench/results/${file}).`,
    '',
    goalsTable(report),
    '',
    `![GFLOP/s of each contestant in ${report.engine}, with the 128-bit ceiling](${chart})`,
    '',
    folded(`${shown.length} of ${report.rows.length} rows`, markdownTable([...PEER_COLUMNS], shown)),
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

/** Where a reader learns what the tables mean. */
const INTRODUCTION = `
### Beside its peers

\`npm run bench:peers:install\` installs the peers, \`npm run bench:peers\` measures them: one layer, the same numbers for all.
Each contestant's output (of a training step: its gradients, and a loss that falls) is held against float64 before it is timed.
Each has a process (in Chromium a page) of its own for every number of threads. They take turns in ${FULL.rounds} rounds, the order
reversed every round; a turn starts with a pause, in which the threads of the one before fall asleep, and with calls that do not
count. Medians with their range. A call takes its input and leaves its output where the contestant keeps its tensors;
onnxruntime-web keeps none and copies. GFLOP/s count what the operation cannot do without, whatever a contestant does.
A LoRA training step is forward, mean squared error, the gradients of A, B and x, and one step of AdamW (or Adam where there is no AdamW).
The ceiling is that of 128-bit SIMD on one thread, times the threads in the column; native code has wider registers and no
percentage. [docs/benchmarks.md](docs/benchmarks.md) says which settings of each peer were tried and how to read the figures.`;

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
  writeFileSync(
    path,
    insertTables(readFileSync(path, 'utf8'), [INTRODUCTION, ...sections].join('\n\n'), 'peers'),
  );
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) main();
