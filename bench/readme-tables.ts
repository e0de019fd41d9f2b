/** What generated pages are made of: their marks, tables, folded blocks, and the newest results. */
import { readdirSync, readFileSync } from 'node:fs';
import { isReport, type Report } from './records.js';

/** Puts `tables` between the marks `name` of `page`. @throws Error when a mark is missing */
export function insertTables(page: string, tables: string, name = 'bench'): string {
  const [start, end] = [`<!-- ${name}:start -->`, `<!-- ${name}:end -->`];
  const [from, to] = [page.indexOf(start), page.indexOf(end)];
  if (from < 0 || to < from)
    throw new Error(`insertTables: the page has no ${start} before ${end}, expected both`);
  return `${page.slice(0, from + start.length)}\n${tables.trim()}\n${page.slice(to)}`;
}

export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** A block that stays closed until its summary is clicked; GitHub reads Markdown in it only between blank lines. */
export function folded(summary: string, markdown: string): string {
  return `<details>\n<summary>${summary}</summary>\n\n${markdown}\n\n</details>`;
}

const RESULTS = 'bench/results';

/** A file of results by its name: pages of the package do not link to what is only in the repository. */
export function resultName(file: string): string {
  return `\`${RESULTS}/${file}\``;
}

/** The chart beside a file of results, by its name too. */
export function chartLine(shows: string, file: string): string {
  return `${shows}: \`${RESULTS}/${chartName(file)}\`.`;
}

export function chartName(file: string): string {
  return file.replace(/\.json$/, '.svg');
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
