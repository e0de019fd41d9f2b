/** The committed results, and the sections of a page that are written from them. Node only. */
import { readdirSync, readFileSync } from 'node:fs';
import { type Goal, goalCells } from './goal.js';
import { chartLine, folded, markdownTable, resultName } from './markdown.js';
import { isReport, PACKAGE, type Report } from './records.js';
import { ceilingsText } from './table.js';

const RESULTS = new URL('../results/', import.meta.url);
const ROOT = new URL('../../', import.meta.url);

/** The page of all suites side by side, into which the peers write too. */
export const SUMMARY = 'docs/results/summary.md';

/** A suite's report and the name of its file. */
export type Result = readonly [file: string, report: Report];

/**
 * The newest `*-<suite>.json` of each engine, the newest Node first, pages last. A run of a part stands beside the whole one
 * where a word behind the engine's tells them apart. @throws Error when a file has another form
 */
export function resultsOf(suite: string, folder = RESULTS): Result[] {
  const named = new RegExp(`^\\d{4}-\\d\\d-\\d\\d-(.+)-${suite}\\.json$`);
  const byEngine = new Map<string, string>();
  for (const file of readdirSync(folder).sort()) {
    const engine = named.exec(file)?.[1];
    if (engine !== undefined) byEngine.set(engine, file);
  }
  return [...byEngine.values()].reverse().map((file) => {
    const report: unknown = JSON.parse(readFileSync(new URL(file, folder), 'utf8'));
    if (!isReport(report))
      throw new Error(`resultsOf: ${file} has another form, expected what a benchmark's --json writes`);
    return [file, report];
  });
}

/** A file of the repository. */
export function textOf(path: string): string {
  return readFileSync(new URL(path, ROOT), 'utf8');
}

/** What a section shows beside the engine, the ceilings and the command. */
export interface Shown {
  readonly goals?: readonly Goal[];
  /** Stands between the goals and the chart, in Markdown. */
  readonly digest?: string | undefined;
  /** What the chart shows, where there is one. */
  readonly chart?: string | undefined;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** What the folded rows are, by default all. */
  readonly rowsAre?: string | undefined;
  /** A folded list more. */
  readonly more?: readonly [title: string, markdown: string];
}

/** One engine's section of a page of `docs/results/`, in Markdown. */
export function sectionOf([file, report]: Result, shown: Shown): string {
  const { engine, cpu, command, rows, notMeasured } = report;
  const { goals = [], digest, chart, more } = shown;
  const builds = new Set(
    rows.filter(({ contestant }) => contestant === PACKAGE).map(({ kernels }) => kernels),
  );
  const missing = notMeasured.map(
    ({ contestant, operation, reason }) => `- ${contestant}, ${operation}: ${reason}`,
  );
  const blocks = [
    `## ${engine}, ${[...builds].join(', ') || 'no'} kernels`,
    `${cpu}; ${ceilingsText(report)} of one thread. \`${command}\`, in ${resultName(file)}.`,
    goals.some(({ measured }) => measured !== null) &&
      markdownTable(['goal', 'limit', 'measured', 'met'], goals.map(goalCells)),
    digest,
    chart !== undefined && chartLine(chart, report, file),
    shown.rows.length > 0 &&
      folded(shown.rowsAre ?? `all ${rows.length} rows`, markdownTable(shown.columns, shown.rows)),
    more !== undefined && folded(...more),
    missing.length > 0 && folded('what was not measured', missing.join('\n')),
  ];
  return blocks.filter(Boolean).join('\n\n');
}
