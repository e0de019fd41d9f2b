/** The module worker in which a page runs a suite: `page.ts` starts it and hears its answers. */
import { type Measured, runSuite } from '../run.js';
import type { RunOptions } from '../suite.js';
import type { SuiteName } from '../suites.js';
import { ceilingLoops, naiveModule, pageCeilings } from './compiled.js';

export type WorkerAnswer =
  | { readonly progress: string }
  | { readonly measured: Measured }
  | { readonly error: string };

const answer = (message: WorkerAnswer): void => globalThis.postMessage(message);

function startHelper(script: string, message: unknown): () => void {
  const url = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }));
  const worker = new Worker(url);
  worker.postMessage(message);
  return () => {
    worker.terminate();
    URL.revokeObjectURL(url);
  };
}

async function modelSource(): Promise<Blob> {
  const response = await fetch('/model');
  if (!response.ok) throw new Error(`worker: /model answered ${response.status}, expected a file of a model`);
  return response.blob();
}

globalThis.onmessage = async ({
  data: { suite, options },
}: MessageEvent<{ suite: SuiteName; options: RunOptions }>) => {
  try {
    const measured = await runSuite(suite, options, {
      naive: await naiveModule(),
      cores: navigator.hardwareConcurrency,
      ceilingLoops,
      ceilings: pageCeilings,
      ...{ startHelper, modelSource, peakResident: null, nativeOf: null },
      progress: (progress) => answer({ progress }),
    });
    answer({ measured });
  } catch (error) {
    answer({ error: error instanceof Error ? error.message : String(error) });
  }
};
