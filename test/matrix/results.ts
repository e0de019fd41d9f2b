/** The dated results of a whole run: written by `main.ts`, read by `tables.ts`. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { chromiumVersion, closeBrowser } from './pages.js';

const FOLDER = new URL('./results/', import.meta.url);

export interface Result {
  readonly name: string;
  readonly status: 'passed' | 'failed' | 'skipped';
  /** What one must add to run, and for threads; null where there are none. */
  readonly add: string;
  readonly threads?: string | null;
  /** Whether the support table has it; true. */
  readonly listed?: boolean;
  readonly kernels?: string;
  readonly twoThreads?: boolean;
  /** What the runtime says of its threads when asked for two. */
  readonly threadsReason?: string;
  /** Why it failed or was skipped. */
  readonly reason?: string;
  /** Where the row was run anew: the commit then. */
  readonly commit?: string;
}

export interface Results {
  readonly date: string;
  readonly commit: string;
  readonly node: string;
  readonly chromium: string;
  readonly system: string;
  readonly rows: readonly Result[];
}

function commit(): string {
  return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
}

function write(results: Results): void {
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(new URL(`${results.date}.json`, FOLDER), `${JSON.stringify(results, null, 2)}\n`);
}

/** Writes the results of a whole run. */
export async function writeResults(rows: readonly Result[]): Promise<void> {
  const chromium = await chromiumVersion();
  await closeBrowser();
  write({
    date: new Date().toISOString().slice(0, 10),
    commit: commit(),
    node: process.versions.node,
    chromium,
    system: `${process.platform} ${process.arch} ${release()}`,
    rows,
  });
}

/** Puts rows that were run anew in the places that they have in the newest results. @throws Error where one has none */
export function renewResults(renewed: readonly Result[]): void {
  const newest = newestResults();
  const rows = newest.rows.slice();
  for (const row of renewed) {
    const at = rows.findIndex(({ name }) => name === row.name);
    if (at < 0) throw new Error(`the results of ${newest.date} have no row '${row.name}': run all`);
    rows[at] = { ...row, commit: commit() };
  }
  write({ ...newest, rows });
}

/** The newest results. @throws Error where there are none */
export function newestResults(): Results {
  const name = readdirSync(FOLDER)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .at(-1);
  if (name === undefined) throw new Error('test/matrix/results has no results');
  return JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8'));
}
