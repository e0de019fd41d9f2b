/**
 * Makes the kernels, the package and the worker's file where their sources have changed, so that no test, benchmark or script
 * runs against yesterday's build.
 */
import { existsSync, readFileSync } from 'node:fs';
import { buildIfStale } from './stale.js';
import { WORKER, workerText, writeWorker } from './worker.js';

const KERNELS = ['simd', 'relaxed-simd', 'simd-threads', 'relaxed-simd-threads', 'debug'].map(
  (name) => `build/${name}.wasm`,
);

export function freshKernels(): void {
  const sources = ['assembly', 'asconfig.json'];
  buildIfStale({ name: 'kernels', script: 'build:wasm', made: KERNELS, sources });
}

/** The package and the kernels in it. */
export function freshPackage(): void {
  freshKernels();
  buildIfStale({
    name: 'dist',
    script: 'build:ts',
    // The last file that the build writes.
    made: ['dist/inline/relaxed-simd-threads.cjs'],
    sources: ['src', 'scripts/build', 'tsconfig.build.json', 'tsconfig.json', ...KERNELS],
  });
}

/** The one file of the package that its sources run on. */
export async function freshWorker(): Promise<void> {
  const text = await workerText();
  if (!existsSync(WORKER) || readFileSync(WORKER, 'utf8') !== text) writeWorker(text);
}
