/**
 * What is generated from the committed results of the suites: charts beside them, the pages of `docs/results/`, their
 * summary. `readme.ts` writes it, and what the peers' package generates; a test holds what is committed against it.
 */

import { goalsSummary } from './core/goal.js';
import { chartLine, chartName, insertTables, markdownTable } from './core/markdown.js';
import { pairedRatios } from './core/measure.js';
import type { Report } from './core/records.js';
import { type Result, resultsOf, SUMMARY, sectionOf, textOf } from './core/results.js';
import { figure, headOf, ratioText } from './core/table.js';
import { readmeTable } from './llm/pages.js';
import type { Suite } from './suite.js';
import { SUITE_NAMES, SUITES } from './suites.js';
import { type Pair, pairsOf } from './threads/suite.js';

/** Path in the repository and content of each file. What stands outside a page's marks stays as it is. */
export function suiteFiles(): Map<string, string> {
  const files = new Map<string, string>();
  for (const name of SUITE_NAMES) {
    const suite: Suite = SUITES[name];
    const results = resultsOf(name);
    if (suite.chart !== undefined)
      for (const [file, report] of results)
        files.set(`bench/results/${chartName(file)}`, suite.chart.draw(report));
    const path = `docs/results/${name}.md`;
    const sections = results.map((result) => suiteSection(suite, result)).join('\n\n');
    files.set(path, insertTables(textOf(path), sections, name));
  }
  files.set(SUMMARY, summary(textOf(SUMMARY)));
  const models = resultsOf('llm').map(([, report]) => report);
  files.set('README.md', insertTables(textOf('README.md'), readmeTable(models), 'llm'));
  return files;
}

export function suiteSection({ columns, cells, goals, digest, chart, lists }: Suite, result: Result): string {
  const [, report] = result;
  const listed = lists?.(report);
  return sectionOf(result, {
    goals: goals?.(report) ?? [],
    digest: digest?.(report),
    chart: chart?.shows,
    columns,
    rows: (listed?.rows ?? report.rows).map(cells),
    rowsAre: listed?.are,
  });
}

function summary(text: string): string {
  const reportsOf = (name: string): Report[] => resultsOf(name).map(([, report]) => report);
  const { bench, kernels, scaling, llm } = SUITES;
  // A run of a part of the suite is on its page, and no column here.
  const wholes = reportsOf('bench').filter((report) => bench.goals(report).some(({ met }) => met !== null));
  const summaries = {
    goals: goalsSummary(wholes, bench.goals),
    kernels: goalsSummary(reportsOf('kernels'), kernels.goals),
    llm: reportsOf('llm').length === 0 ? '' : goalsSummary(reportsOf('llm'), llm.goals),
    scaling: chartsSummary(resultsOf('scaling'), scaling.chart.shows),
    threads: threadsSummary(reportsOf('threads')),
  };
  return Object.entries(summaries).reduce((page, [name, part]) => insertTables(page, part, name), text);
}

/** Where each engine's chart lies. */
function chartsSummary(results: readonly Result[], shows: string): string {
  return results.map(([file, report]) => `- ${chartLine(shows, report, file)}`).join('\n');
}

/** A line a shape, an engine a column: how many times as fast several threads are as one. */
export function threadsSummary(reports: readonly Report[]): string {
  const nameOf = ({ shared }: Pair): string =>
    `${shared.operation}, ${shared.shape}, ${shared.threads} threads`;
  const cellOf = ({ alone, shared }: Pair): string =>
    `${ratioText(pairedRatios(alone, shared))}; ${figure(shared.median)} for ${figure(alone.median)}`;
  const columns = reports.map(
    (report) => new Map(pairsOf(report).map((pair) => [nameOf(pair), cellOf(pair)])),
  );
  const names = [...new Set(columns.flatMap((column) => [...column.keys()]))];
  const lines = names.map((name) => [name, ...columns.map((column) => column.get(name) ?? '')]);
  return markdownTable(['times as fast (range); ms', ...reports.map(headOf)], lines);
}
