/**
 * Everything that is generated from the committed results: the charts beside them, the pages of `docs/results/` with every
 * table, their summary, and the README's one table and chart. `readme.ts` writes it; a test holds what is committed against it.
 */
import { readFileSync } from 'node:fs';
import { baselinesSection } from './baselines/section.js';
import { goalsOf } from './goals.js';
import { kernelGoals } from './kernels/goals.js';
import { kernelsSection } from './kernels/section.js';
import { chartOf } from './peers/chart.js';
import { peerGoals, peerGoalText } from './peers/goals.js';
import { peersSection } from './peers/section.js';
import { shownInReadme } from './readme-speed.js';
import { chartName, insertTables, latestReports } from './readme-tables.js';
import type { Report } from './records.js';
import { scalingChart } from './scaling/chart.js';
import { scalingSection } from './scaling/section.js';
import { chartsSummary, machinesSummary } from './summary/engines.js';
import { goalsSummary } from './summary/goals.js';
import { peersSummary } from './summary/peers.js';
import { threadsSummary } from './summary/threads.js';
import { threadsSection } from './threads/section.js';

interface Page {
  readonly suite: string;
  /** One engine's section, in Markdown. */
  readonly section: (report: Report, file: string) => string;
  readonly chart?: (report: Report) => string;
}

const PAGES: readonly Page[] = [
  { suite: 'peers', section: peersSection, chart: (report) => chartOf(report, /^M=256 /) },
  { suite: 'bench', section: baselinesSection },
  { suite: 'kernels', section: kernelsSection },
  { suite: 'scaling', section: scalingSection, chart: scalingChart },
  { suite: 'threads', section: threadsSection },
];

const SUMMARY = 'docs/results/summary.md';
const ROOT = new URL('../', import.meta.url);
const RESULTS = new URL('./results/', import.meta.url);

/** Path in the repository and content of each generated file. What stands outside a page's marks stays as it is. */
export function generatedFiles(): Map<string, string> {
  const files = new Map<string, string>();
  for (const { suite, section, chart } of PAGES) {
    const results = resultsOf(suite);
    if (chart !== undefined)
      for (const [file, report] of results) files.set(`bench/results/${chartName(file)}`, chart(report));
    const path = `docs/results/${suite}.md`;
    const sections = results.map(([file, report]) => section(report, file));
    files.set(path, insertTables(textOf(path), sections.join('\n\n'), suite));
  }
  files.set(SUMMARY, summary(textOf(SUMMARY)));
  for (const [path, content] of shownInReadme()) files.set(path, content);
  return files;
}

function summary(text: string): string {
  const [peers, own, scaling] = [resultsOf('peers'), resultsOf('bench'), resultsOf('scaling')];
  const goals = [
    goalsSummary(reportsOf(peers), ({ rows }) => peerGoals(rows).map(peerGoalText)),
    goalsSummary(reportsOf(own), goalsOf),
  ];
  const summaries = {
    machines: machinesSummary(reportsOf(peers)),
    peers: peersSummary(reportsOf(peers)),
    'peers-charts': chartsSummary(peers, 'GFLOP/s of each contestant, with the 128-bit ceiling,'),
    goals: goals.join('\n\n'),
    kernels: goalsSummary(reportsOf(resultsOf('kernels')), kernelGoals),
    scaling: chartsSummary(scaling, 'GFLOP/s over M, d, r and threads, with the 128-bit ceiling,'),
    threads: threadsSummary(reportsOf(resultsOf('threads'))),
  };
  return Object.entries(summaries).reduce((page, [name, part]) => insertTables(page, part, name), text);
}

/** The newest Node first, pages last. */
function resultsOf(suite: string): [file: string, report: Report][] {
  return latestReports(RESULTS, suite).reverse();
}

function reportsOf(results: readonly [file: string, report: Report][]): Report[] {
  return results.map(([, report]) => report);
}

function textOf(path: string): string {
  return readFileSync(new URL(path, ROOT), 'utf8');
}
