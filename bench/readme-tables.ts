/**
 * Writes the README's benchmark tables, between its two `bench` marks, from the committed results: one section a file of
 * `bench/results/`, its goals and a choice of its rows.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { goalsOf } from './goals.js';
import { isReport, type Report, type Row } from './records.js';
import { COLUMNS, ceilingsText, cellsOf } from './table.js';

/** Shapes that the README shows; the files hold all. */
const SHOWN = /^M=240|^MNIST|^M=256 N=768 K=768( r=8)?$|^M=256 N=2048 K=2048( r=16)?$|^M=10 N=2000 K=1000/;

/** Puts `tables` between the marks `name` of `readme`. @throws Error when a mark is missing */
export function insertTables(readme: string, tables: string, name = 'bench'): string {
  const [start, end] = [`<!-- ${name}:start -->`, `<!-- ${name}:end -->`];
  const [from, to] = [readme.indexOf(start), readme.indexOf(end)];
  if (from < 0 || to < from)
    throw new Error(`insertTables: README has no ${start} before ${end}, expected both`);
  return `${readme.slice(0, from + start.length)}\n${tables.trim()}\n${readme.slice(to)}`;
}

/** One file's section in Markdown. */
export function sectionOf(report: Report, file: string): string {
  const kernels = [...new Set(report.rows.map((row) => row.kernels))]
    .filter((name) => name !== 'none')
    .join(', ');
  const goals = goalsOf(report).map(({ goal, limit, measured, met }) => [
    goal,
    limit,
    measured ?? 'not measured',
    met === null ? '' : met ? 'yes' : 'no',
  ]);
  const rows = report.rows.filter((row) => SHOWN.test(row.shape)).map(cellsOf);
  return [
    `#### ${report.engine}, ${kernels} kernels`,
    '',
    `${report.cpu}, one thread; ${ceilingsText(report)}. \`${report.command}\`, every row in [${file}](bench/results/${file}).`,
    '',
    markdownTable(['goal', 'limit', 'measured', 'met'], goals),
    '',
    markdownTable([...COLUMNS], rows),
  ].join('\n');
}

export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** The newest `*-<suite>.json` of each engine, read and checked. @throws Error when a file has another form */
export function latestReports(folder: URL, suite: string): [string, Report][] {
  const named = new RegExp(`^\\d{4}-\\d\\d-\\d\\d-(.+)-${suite}\\.json$`);
  const byEngine = new Map<string, string>();
  for (const file of readdirSync(folder).sort()) {
    const engine = named.exec(file)?.[1];
    if (engine !== undefined) byEngine.set(engine, file);
  }
  return [...byEngine.values()].map((file) => {
    const report: unknown = JSON.parse(readFileSync(new URL(file, folder), 'utf8'));
    if (!isReport(report))
      throw new Error(`readme-tables: ${file} has another form, expected what a benchmark's --json writes`);
    return [file, report];
  });
}

/** One file of one thread against several: times side by side, and how often the first holds the second. */
export function threadsSection(report: Report, file: string): string {
  const text = ({ median, min, max }: Row): string =>
    `${median.toPrecision(3)} (${min.toPrecision(3)}-${max.toPrecision(3)})`;
  const rows = report.rows.flatMap((shared) => {
    if (shared.threads === 1 || shared.ratio === null) return [];
    const { operation, shape, threads, ratio } = shared;
    const alone = report.rows.find(
      (row) => row.threads === 1 && row.operation === operation && row.shape === shape,
    );
    const times = (1 / ratio).toFixed(2);
    return alone === undefined ? [] : [[operation, shape, text(alone), `${threads}`, text(shared), times]];
  });
  const head = ['operation', 'shape', '1 thread, ms (range)', 'threads', 'ms (range)', 'times as fast'];
  return [
    `#### ${report.engine}, ${report.rows[0]?.kernels ?? 'no'} kernels`,
    '',
    `${report.cpu}; \`${report.command}\`, in [${file}](bench/results/${file}).`,
    '',
    markdownTable(head, rows),
  ].join('\n');
}

function main(): void {
  const path = new URL('../README.md', import.meta.url);
  const folder = new URL('./results/', import.meta.url);
  let readme = readFileSync(path, 'utf8');
  for (const [suite, section] of [
    ['bench', sectionOf],
    ['threads', threadsSection],
  ] as const) {
    const sections = latestReports(folder, suite).map(([file, report]) => section(report, file));
    readme = insertTables(readme, sections.join('\n\n'), suite);
  }
  writeFileSync(path, readme);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) main();
