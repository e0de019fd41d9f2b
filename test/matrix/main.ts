/**
 * `npm run test:matrix`: the packed package in every tool that it is said to run in. Rows that `.ci/run` takes, or every row
 * with `--all`, whose results are written to `results/`; `--only WORD` takes the rows whose name has it, with `--all` in place
 * of those in the newest results; `--docs` runs none and
 * writes the documentation's tables from the newest results.
 */
import { parseArgs } from 'node:util';
import { freshPackage } from '../../scripts/build/fresh.js';
import { writePages } from './docs.js';
import { closeBrowser } from './pages.js';
import { NotInstalled, pack } from './project.js';
import { makeReference } from './reference.js';
import { faults, type Reference } from './report.js';
import { type Result, renewResults, writeResults } from './results.js';
import type { Row } from './row.js';
import { rows } from './rows.js';

async function runRow(row: Row, tarball: string, reference: Reference): Promise<Result> {
  const { name, add, threads, listed } = row;
  const told = {
    ...{ name, add },
    ...(threads === undefined ? {} : { threads }),
    ...(listed === undefined ? {} : { listed }),
  };
  try {
    const report = await row.run(tarball);
    if (report === null) return { ...told, status: 'passed' };
    const found = faults(report, reference, threads !== null);
    const { one, two } = report;
    const ran = { kernels: one.kernels, twoThreads: two.threads === 2, threadsReason: two.threadsReason };
    if (found.length > 0) return { ...told, ...ran, status: 'failed', reason: found.join('; ') };
    return { ...told, ...ran, status: 'passed' };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { ...told, status: error instanceof NotInstalled ? 'skipped' : 'failed', reason };
  }
}

async function runRows(chosen: readonly Row[]): Promise<Result[]> {
  const tarball = await pack();
  const reference = await makeReference(tarball);
  const results: Result[] = [];
  for (const row of chosen) {
    const begin = performance.now();
    const result = await runRow(row, tarball, reference);
    results.push(result);
    console.log(line(result, (performance.now() - begin) / 1000));
  }
  await closeBrowser();
  return results;
}

function line(result: Result, seconds: number): string {
  const { status, name, add, kernels = '', twoThreads, threadsReason = '', reason } = result;
  const threads = twoThreads ? '2 threads' : threadsReason;
  const why = reason === undefined ? '' : `\n        ${reason.replaceAll('\n', '\n        ')}`;
  const cells = [status.padEnd(7), name.padEnd(60), kernels.padEnd(12), `add ${add}`.padEnd(40), threads];
  return `${cells.join(' ').trimEnd()} (${seconds.toFixed(1)} s)${why}`;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { all: { type: 'boolean' }, only: { type: 'string' }, docs: { type: 'boolean' } },
  });
  const { all = false, only, docs } = values;
  if (docs) return writePages();
  freshPackage();
  const chosen = rows.filter(({ name, quick }) =>
    only === undefined ? all || quick : name.toLowerCase().includes(only.toLowerCase()),
  );
  const results = await runRows(chosen);
  if (all) await (only === undefined ? writeResults(results) : renewResults(results));
  const count = (status: Result['status']) => results.filter((result) => result.status === status).length;
  console.log(`${count('passed')} rows passed, ${count('failed')} failed, ${count('skipped')} skipped`);
  if (count('failed') > 0 || results.length === 0) process.exitCode = 1;
}

await main();
