/** The tables of paths: in this folder's README, from the results beside it, and as `pick.ts` prints them. */
import { readdirSync, readFileSync } from 'node:fs';
import { folded, insertTables, markdownTable } from '../core/markdown.js';
import { textOf } from '../core/results.js';
import { BUILDS, OPERATIONS, type PathRow, shapeOf } from './paths.js';
import type { PathsReport } from './pick.js';

/** A difference below this is noise, or not worth another threshold. */
const MARGIN = 0.03;
const README = 'bench/variants/README.md';

/** Of a build and an operation. */
interface PathTable {
  readonly title: string;
  readonly head: readonly string[];
  readonly lines: readonly (readonly string[])[];
}

/** What the plans take on each shape, in GFLOP/s, and what was faster by more than the margin: an engine a column. */
export function pathTables(reports: readonly PathsReport[]): PathTable[] {
  return BUILDS.flatMap((build) =>
    OPERATIONS.flatMap((operation) => {
      const columns = reports
        .map(({ engine, paths }) => ({
          head: engine.replace(/\.\d+\.\d+ .*/, ''),
          rows: paths.filter((row) => row.kernels === build && row.operation === operation),
        }))
        .filter(({ rows }) => rows.length > 0);
      if (columns.length === 0) return [];
      const shapes = [...new Set(columns[0]!.rows.map(shapeOf))];
      const lines = shapes.map((shape) => [
        shape,
        ...columns.map(({ rows }) => pathCell(rows.filter((row) => shapeOf(row) === shape))),
      ]);
      const head = [operation, ...columns.map((column) => column.head)];
      return [{ title: `${build}, ${operation}`, head, lines }];
    }),
  );
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
  const tables = pathTables(reports).map(({ title, head, lines }) =>
    folded(title, markdownTable(head, lines)),
  );
  return new Map([[README, insertTables(textOf(README), tables.join('\n\n'), 'paths')]]);
}
