/**
 * `npm run bench:readme`: writes the README's benchmark sections from the committed results, one a file of `results/`, between
 * the marks of each suite, and the charts beside the results. The peers' sections are written by `peers/readme.ts`.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { baselinesSection } from './baselines/section.js';
import { kernelsSection } from './kernels/section.js';
import { insertTables, latestReports } from './readme-tables.js';
import type { Report } from './records.js';
import { scalingChart } from './scaling/chart.js';
import { scalingSection } from './scaling/section.js';
import { threadsSection } from './threads/section.js';

interface Part {
  readonly suite: string;
  /** In Markdown; `chart` is the chart's path in the repository. */
  readonly section: (report: Report, file: string, chart: string) => string;
  readonly chart?: (report: Report) => string;
}

const PARTS: readonly Part[] = [
  { suite: 'bench', section: baselinesSection },
  { suite: 'kernels', section: kernelsSection },
  { suite: 'scaling', section: scalingSection, chart: scalingChart },
  { suite: 'threads', section: threadsSection },
];

const path = new URL('../README.md', import.meta.url);
const folder = new URL('./results/', import.meta.url);

let readme = readFileSync(path, 'utf8');
for (const { suite, section, chart } of PARTS) {
  const sections = latestReports(folder, suite).map(([file, report]) => {
    const svg = file.replace(/\.json$/, '.svg');
    if (chart !== undefined) writeFileSync(new URL(svg, folder), chart(report));
    return section(report, file, `bench/results/${svg}`);
  });
  const text = sections.length > 0 ? sections.join('\n\n') : 'No results are kept yet.';
  readme = insertTables(readme, text, suite);
}
writeFileSync(path, readme);
