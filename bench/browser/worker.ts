/** The worker in which a page runs a suite: `chromium.ts` asks it for what it leaves on `globalThis`. */
import { type Measured, runSuite } from '../run.js';
import type { RunOptions } from '../suite.js';
import type { SuiteName } from '../suites.js';
import { compiled, fetched } from './compiled.js';

function startHelper(script: string, message: unknown): () => void {
  const url = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }));
  const worker = new Worker(url);
  worker.postMessage(message);
  return () => {
    worker.terminate();
    URL.revokeObjectURL(url);
  };
}

function run(suite: SuiteName, options: RunOptions): Promise<Measured> {
  return runSuite(suite, options, {
    ...{ compiled, fusedElsewhere: () => null, cores: navigator.hardwareConcurrency },
    ...{ startHelper, peakResident: null, nativeOf: null },
    modelSource: async () => (await fetched('/model')).blob(),
    progress: (text) => console.info(text),
  });
}

Object.assign(globalThis, { benchPage: { run } });
