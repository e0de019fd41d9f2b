/**
 * Global set-up of the tests that run over the sources: makes the kernels where assembly/ has changed, and the worker's one file,
 * all that they take of `dist/`. So who changes a line of src/ and runs one test of it waits for no build.
 */
import { existsSync, readFileSync } from 'node:fs';
import { WORKER, workerText, writeWorker } from '../scripts/build/worker.js';
import { buildIfStale } from './stale.js';

/** The builds that are tested. */
export const KERNELS = ['simd', 'relaxed-simd', 'simd-threads', 'relaxed-simd-threads', 'debug'].map(
  (name) => `build/${name}.wasm`,
);

export default async function setup(): Promise<void> {
  buildIfStale({
    name: 'kernels',
    script: 'build:wasm',
    made: KERNELS,
    sources: ['assembly', 'asconfig.json'],
  });
  const text = await workerText();
  if (!existsSync(WORKER) || readFileSync(WORKER, 'utf8') !== text) writeWorker(text);
}
