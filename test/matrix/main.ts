/**
 * `npm run test:matrix`: the packed package in every tool that it is said to run in. Rows that `.ci/run` takes, or every row
 * with `--all`, whose results are written to `results/`; `--only WORD` takes the rows whose name has it.
 */
import { parseArgs } from 'node:util';
import setup from '../build-if-stale.js';
import { closeBrowser } from './pages.js';
import { NotInstalled, pack } from './project.js';
import { makeReference } from './reference.js';
import { faults, type Reference } from './report.js';
import { type Result, writeResults } from './results.js';
import type { Row } from './row.js';
import { rows } from './rows.js';

async function runRow(row: Row, tarball: string, reference: Reference): Promise<Result> {
  const { name, add, threads } = row;
  const told = { name, add, ...(threads === undefined ? {} : { threads }) };
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

const { values } = parseArgs({ options: { all: { type: 'boolean' }, only: { type: 'string' } } });
setup();
const tarball = await pack();
const reference = await makeReference(tarball);
const chosen = rows.filter(({ name, quick }) =>
  values.only === undefined ? values.all || quick : name.toLowerCase().includes(values.only.toLowerCase()),
);
const results: Result[] = [];
for (const row of chosen) {
  const begin = performance.now();
  const result = await runRow(row, tarball, reference);
  results.push(result);
  const seconds = ((performance.now() - begin) / 1000).toFixed(1);
  const threads = result.twoThreads ? '2 threads' : (result.threadsReason ?? '');
  console.log(
    `${result.status.padEnd(7)} ${row.name.padEnd(32)} ${(result.kernels ?? '').padEnd(13)} add: ${row.add}; ${threads} (${seconds} s)`,
  );
  if (result.reason !== undefined) console.log(`        ${result.reason.replaceAll('\n', '\n        ')}`);
}
await closeBrowser();
const count = (status: Result['status']) => results.filter((result) => result.status === status).length;
if (values.all && values.only === undefined) await writeResults(results);
console.log(`${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped`);
if (count('failed') > 0 || results.length === 0) process.exitCode = 1;
