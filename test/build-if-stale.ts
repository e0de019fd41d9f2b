/**
 * Global set-up of the tests, and of the commands beside them: makes the kernels and the package where their sources have changed,
 * so that nothing runs against yesterday's build. Who changes a line of src/ and runs a test over the sources waits for no
 * package: of that such a test takes the worker's one file alone, which is made at once.
 */
import { existsSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';
import { WORKER, workerText, writeWorker } from '../scripts/build/worker.js';
import { buildIfStale } from './stale.js';

const HERE = fileURLToPath(new URL('.', import.meta.url));

/** Tests of the project in Node that run what is built. */
const OVER_PACKAGE = /^(cli|engine|examples|package)\/|^readme-snippets|^hostile|^train\/kill/;

const KERNELS = ['simd', 'relaxed-simd', 'simd-threads', 'relaxed-simd-threads', 'debug'].map(
  (name) => `build/${name}.wasm`,
);

/** @param project - whose files are run; without one everything is made */
export default async function setup(project?: TestProject): Promise<void> {
  const sources = ['assembly', 'asconfig.json'];
  buildIfStale({ name: 'kernels', script: 'build:wasm', made: KERNELS, sources });
  if (project === undefined || (await runsPackage(project))) makePackage();
  else await makeWorker();
}

async function runsPackage(project: TestProject): Promise<boolean> {
  if (project.config.browser.enabled) return true;
  // Not in Vitest's types: where it is not there, all files count.
  const named: unknown = Reflect.get(project.vitest, 'filenamePattern');
  const { testFiles } = await project.globTestFiles(Array.isArray(named) ? named.map(String) : undefined);
  return testFiles.some((file) => OVER_PACKAGE.test(relative(HERE, file).replaceAll('\\', '/')));
}

function makePackage(): void {
  buildIfStale({
    name: 'dist',
    script: 'build:ts',
    // The last file that the build writes.
    made: ['dist/inline/relaxed-simd-threads.cjs'],
    sources: ['src', 'scripts/build', 'tsconfig.build.json', 'tsconfig.json', ...KERNELS],
  });
}

async function makeWorker(): Promise<void> {
  const text = await workerText();
  if (!existsSync(WORKER) || readFileSync(WORKER, 'utf8') !== text) writeWorker(text);
}
