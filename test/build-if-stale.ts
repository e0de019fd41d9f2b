/**
 * Global set-up of the tests: nothing runs against yesterday's build (`scripts/build/fresh.ts`). Who changes a line of src/ and
 * runs a test over the sources waits for no package: of that such a test takes the worker's one file alone, which is made at
 * once.
 */
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';
import { freshKernels, freshPackage, freshWorker } from '../scripts/build/fresh.js';

const HERE = fileURLToPath(new URL('.', import.meta.url));

/** Tests of the project in Node that run what is built. */
const OVER_PACKAGE = /^(bench|cli|engine|examples|package)\/|^readme-snippets|^hostile|^train\/kill/;

/** @param project - whose files are run */
export default async function setup(project: TestProject): Promise<void> {
  if (await runsPackage(project)) {
    freshPackage();
    return;
  }
  freshKernels();
  await freshWorker();
}

async function runsPackage(project: TestProject): Promise<boolean> {
  if (project.config.browser.enabled) return true;
  // Not in Vitest's types: where it is not there, all files count.
  const named: unknown = Reflect.get(project.vitest, 'filenamePattern');
  const { testFiles } = await project.globTestFiles(Array.isArray(named) ? named.map(String) : undefined);
  return testFiles.some((file) => OVER_PACKAGE.test(relative(HERE, file).replaceAll('\\', '/')));
}
