/**
 * The worker's script that the package brings: a file that bundlers find by its literal address, and its text. `lora-wasm/inline`
 * has the text alone. Called by `pool/start.ts`.
 */
import type { WorkerScript } from '../platform/index.js';
import { WORKER_TEXT } from './pool/worker-text.js';

/** The worker's script, by file, then by text where the file is not found. */
export function packagedWorkers(platform: 'node' | 'browser'): WorkerScript[] {
  // Not in one expression: only the line for browsers is for bundlers, which would ship the file a second time.
  const here = import.meta.url;
  const scripts: WorkerScript[] = [];
  if (platform === 'browser')
    scripts.push({
      make: () => new Worker(new URL('../worker.js', import.meta.url), { type: 'module' }),
      // Its address where no bundler moved the file.
      name: here?.endsWith('/dist/engine/packaged-workers.js')
        ? new URL('../worker.js', here).href
        : 'lora-wasm/worker',
    });
  else if (here?.startsWith('file:'))
    scripts.push({ url: new URL(here.endsWith('.ts') ? '../../dist/worker.js' : '../worker.js', here) });
  if (WORKER_TEXT !== '') scripts.push({ text: WORKER_TEXT });
  return scripts;
}
