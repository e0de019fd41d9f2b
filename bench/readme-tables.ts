/**
 * Writes the README's benchmark tables, between its two `bench` marks, from the committed results: one section a file of
 * `bench/results/`, its goals and a choice of its rows.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { goalsOf } from './goals.js';
import { isReport, type Report } from './records.js';
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

function main(): void {
  const path = new URL('../README.md', import.meta.url);
  const sections = latestReports(new URL('./results/', import.meta.url), 'bench').map(([file, report]) =>
    sectionOf(report, file),
  );
  writeFileSync(path, insertTables(readFileSync(path, 'utf8'), sections.join('\n\n')));
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) main();
