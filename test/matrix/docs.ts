/**
 * What of the documentation is written from elsewhere: the support tables from the newest results, the code of docs/browser.md from
 * the example that the matrix runs. `npm run test:matrix -- --docs` writes it; a test compares.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { insertTables } from '../../bench/core/markdown.js';
import { newestResults, type Result, type Results } from './results.js';

const ROOT = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8');

function threadsCell({ status, threads, twoThreads }: Result): string {
  if (threads === null) return 'one thread';
  if (status !== 'passed' || threads === undefined) return '';
  return twoThreads ? threads : 'failed';
}

function runsCell({ status, reason }: Result): string {
  if (status === 'passed') return 'yes';
  return status === 'skipped' ? `not tried: ${reason?.split('\n')[0]}` : 'no';
}

/** The whole table: a line for each row. */
export function supportTable({ rows, date, chromium, node }: Results): string {
  const lines = rows
    .filter(({ listed }) => listed !== false)
    .map(
      (row) =>
        `| ${row.name} | ${runsCell(row)} | ${row.add} | ${threadsCell(row)} | ${row.kernels === undefined ? '' : `\`${row.kernels}\``} |`,
    );
  return [
    `From the run of ${date}: Chromium ${chromium}, numbers held against Node ${node}'s with the same kernels.`,
    '',
    '| tool | runs | what to add | for threads | kernels |',
    '| --- | --- | --- | --- | --- |',
    ...lines,
  ].join('\n');
}

/** The short form: which run as they are, which with a line. */
export function supportSummary({ rows }: Results): string {
  const passed = rows.filter(({ status, listed }) => status === 'passed' && listed !== false);
  const names = (these: readonly Result[]): string => these.map(({ name }) => name).join('; ');
  const ran = passed.filter(({ kernels }) => kernels !== undefined);
  const asTheyAre = ran.filter(({ add }) => add === 'nothing');
  const withMore = ran.filter(({ add }) => add !== 'nothing');
  return [
    `- As it stands: ${names(asTheyAre)}.`,
    `- With [one line more](docs/bundlers.md#support): ${names(withMore)}.`,
  ].join('\n');
}

const fenced = (language: string, code: string): string => `\`\`\`${language}\n${code.trim()}\n\`\`\``;

function registration(): string {
  const script = /^ *<script>\n[\s\S]*?<\/script>/m.exec(read('examples/worker/index.html'))?.[0];
  if (script === undefined)
    throw new Error('examples/worker/index.html has no script that registers isolate.js');
  return script.replace(/^ {4}/gm, '');
}

function browserPage(): string {
  let page = insertTables(
    read('docs/browser.md'),
    fenced('ts', read('examples/worker/train-worker.ts')),
    'worker',
  );
  page = insertTables(page, fenced('js', read('examples/worker/public/isolate.js')), 'isolate');
  return insertTables(page, fenced('html', registration()), 'register');
}

/** Path to text of every page that is written so. */
export function writtenPages(): Map<string, string> {
  const results = newestResults();
  return new Map([
    ['docs/browser.md', browserPage()],
    ['docs/bundlers.md', insertTables(read('docs/bundlers.md'), supportTable(results), 'support')],
    ['README.md', insertTables(read('README.md'), supportSummary(results), 'support')],
  ]);
}

export function writePages(): void {
  for (const [path, text] of writtenPages()) writeFileSync(new URL(path, ROOT), text);
}
