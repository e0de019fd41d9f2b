/** Where suites run: in this Node, or in a page of a real Chromium. */
import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { fusedElsewhere } from './core/ceilings.js';
import { compiled } from './core/compile.js';
import { nodeName } from './core/provenance.js';
import type { ResidentJob } from './core/records.js';
import { nativeOf } from './llm/native.js';
import { type Measured, runSuite } from './run.js';
import type { RunOptions } from './suite.js';
import type { SuiteName } from './suites.js';

export interface Engine {
  /** Name and version, as a report states them. */
  readonly name: string;
  run(suite: SuiteName, options: RunOptions, progress: (text: string) => void): Promise<Measured>;
  close(): Promise<void>;
}

export function nodeEngine(): Engine {
  return {
    name: nodeName(),
    run: (suite, options, progress) =>
      runSuite(suite, options, {
        ...{ compiled, fusedElsewhere, cores: availableParallelism(), startHelper },
        ...{ peakResident, nativeOf, modelSource: async (path) => path, progress },
      }),
    close: async () => {},
  };
}

/** No loader of sources: a helper needs none. */
function startHelper(script: string, message: unknown): () => void {
  const worker = new Worker(script, { eval: true, execArgv: [] });
  worker.postMessage(message);
  return () => void worker.terminate();
}

function peakResident(model: string, kernels: string, job: ResidentJob): number {
  const script = fileURLToPath(new URL('./llm/resident.js', import.meta.url));
  const args = [script, model, kernels, job];
  return Number(execFileSync(process.execPath, args, { encoding: 'utf8' }));
}

/** Every suite gets a page of its own; a model is served as one file. @throws Error when Chromium does not start */
export async function chromiumEngine(executablePath: string, model?: string): Promise<Engine> {
  // The bundler and the browser's driver stay out of a process that measures itself.
  const { startChromium } = await import('./browser/chromium.js');
  const entry = new URL('./browser/page.ts', import.meta.url);
  const links = model === undefined ? {} : { model };
  const { name, open, close } = await startChromium(executablePath, entry, { inWorker: true, links });
  return {
    name,
    run: async (suite, options, progress) => {
      const page = await open(progress);
      try {
        return await page.ask<Measured>('run', [suite, options]);
      } finally {
        await page.close();
      }
    },
    close,
  };
}
