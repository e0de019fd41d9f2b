/** The page of the suites: `engines.ts` opens it and calls what it leaves on `globalThis`. */
import type { Measured } from '../run.js';
import type { RunOptions } from '../suite.js';
import type { SuiteName } from '../suites.js';
import type { WorkerAnswer } from './worker.js';

/**
 * A worker, as users are told to train: there the calling thread may sleep until the others are done, and a runtime of
 * several threads computes as it does in Node, while a page's main thread would have to spin.
 */
function run(suite: SuiteName, options: RunOptions): Promise<Measured> {
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
  const { showProgress } = globalThis as unknown as { showProgress: (text: string) => void };
  return new Promise<Measured>((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<WorkerAnswer>) => {
      if ('progress' in data) showProgress(data.progress);
      else if ('error' in data) reject(new Error(data.error));
      else resolve(data.measured);
    };
    worker.onerror = ({ message }) => reject(new Error(`the worker of ${suite} failed: ${message}`));
    worker.postMessage({ suite, options });
  }).finally(() => worker.terminate());
}

Object.assign(globalThis, { benchPage: { run } });
