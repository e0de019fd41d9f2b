/** The README's table of threads: a line a shape, an engine a column, how many times as fast several threads are as one. */
import { pairedRatios } from '../measure.js';
import { markdownTable } from '../readme-tables.js';
import type { Report } from '../records.js';
import { figure, ratioText } from '../table.js';
import { type Pair, pairsOf } from '../threads/section.js';
import { headOf } from './engines.js';

/** In Markdown. */
export function threadsSummary(reports: readonly Report[]): string {
  const columns = reports.map((report) => new Map(pairsOf(report).map((pair) => [nameOf(pair), pair])));
  const names = [...new Set(columns.flatMap((column) => [...column.keys()]))];
  const lines = names.map((name) => [
    name,
    ...columns.map((column) => {
      const pair = column.get(name);
      return pair === undefined ? '' : cellOf(pair);
    }),
  ]);
  return markdownTable(['times as fast (range); ms', ...reports.map(headOf)], lines);
}

function nameOf({ shared }: Pair): string {
  return `${shared.operation}, ${shared.shape}, ${shared.threads} threads`;
}

function cellOf({ alone, shared }: Pair): string {
  return `${ratioText(pairedRatios(alone, shared))}; ${figure(shared.median)} for ${figure(alone.median)}`;
}
