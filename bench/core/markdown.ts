/** What generated pages are made of: their marks, tables, folded blocks, names of files. */

/** Puts `text` between the marks `name` of `page`. @throws Error when a mark is missing */
export function insertTables(page: string, text: string, name: string): string {
  const [start, end] = [`<!-- ${name}:start -->`, `<!-- ${name}:end -->`];
  const [from, to] = [page.indexOf(start), page.indexOf(end)];
  if (from < 0 || to < from)
    throw new Error(`insertTables: the page has no ${start} before ${end}, expected both`);
  return `${page.slice(0, from + start.length)}\n${text.trim()}\n${page.slice(to)}`;
}

export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** A block that stays closed until its summary is clicked; GitHub reads Markdown in it only between blank lines. */
export function folded(summary: string, markdown: string): string {
  return `<details>\n<summary>${summary}</summary>\n\n${markdown}\n\n</details>`;
}

/** A file of results by its name: pages of the package do not link to what is only in the repository. */
export function resultName(file: string): string {
  return `\`bench/results/${file}\``;
}

/** The chart beside a file of results, by its name too. */
export function chartLine(shows: string, { engine }: { readonly engine: string }, file: string): string {
  return `${shows} in ${engine}: ${resultName(chartName(file))}.`;
}

export function chartName(file: string): string {
  return file.replace(/\.json$/, '.svg');
}
