/** The tables of paths in this folder's README, from the results beside it. */
import { readdirSync, readFileSync } from 'node:fs';
import { folded, insertTables, markdownTable } from '../core/markdown.js';
import { textOf } from '../core/results.js';
import { BUILDS, OPERATIONS, type PathRow, shapeOf } from './paths.js';
import type { PathsReport } from './pick.js';

/** A difference below this is noise, or not worth another threshold. */
const MARGIN = 0.03;
const README = 'bench/variants/README.md';

/** What the plans take on each shape, and what was faster by more than the margin: an engine a column. */
function pathTable(
  reports: readonly PathsReport[],
  build: PathRow['kernels'],
  operation: PathRow['operation'],
): string {
  const columns = reports
    .map(({ engine, paths }) => ({
      head: engine.replace(/\.\d+\.\d+ .*/, ''),
      rows: paths.filter((row) => row.kernels === build && row.operation === operation),
    }))
    .filter(({ rows }) => rows.length > 0);
  const shapes = [...new Set(columns[0]!.rows.map(shapeOf))];
  const lines = shapes.map((shape) => [
    shape,
    ...columns.map(({ rows }) => pathCell(rows.filter((row) => shapeOf(row) === shape))),
  ]);
  return markdownTable([operation, ...columns.map(({ head }) => head)], lines);
}

function pathCell(paths: readonly PathRow[]): string {
  const own = paths.find(({ planned }) => planned)!;
  const best = paths.find(({ winner }) => winner)!;
  const text = `${own.path} ${own.gflops.toFixed(1)}`;
  if (best.toPlanned <= 1 / (1 - MARGIN)) return text;
  return `${text}; **${best.path}** is ${best.toPlanned.toFixed(2)} times as fast`;
}

/** Path in the repository and content. */
export function variantFiles(): Map<string, string> {
  const folder = new URL('./', import.meta.url);
  const reports = readdirSync(folder)
    .filter((file) => /^node\d+\.json$/.test(file))
    .sort()
    .map((file) => JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as PathsReport);
  const tables = BUILDS.flatMap((build) =>
    OPERATIONS.map((operation) => folded(`${build}, ${operation}`, pathTable(reports, build, operation))),
  );
  return new Map([[README, insertTables(textOf(README), tables.join('\n\n'), 'paths')]]);
}
