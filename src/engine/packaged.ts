/**
 * The files that the package brings: a kernel build each, and the worker's script. Bundlers find what is written as
 * `new URL('literal', import.meta.url)`, and nothing else. `lora-wasm/inline` has the bytes in place of this file.
 */
import type { WorkerScript } from '../platform/index.js';
import type { KernelBuild } from './abi.js';
import type { OneBuild } from './one-build.js';
import { WORKER_TEXT } from './pool/worker-text.js';

/** The one build that the package holds; null where it holds all. */
export const packagedBuild: OneBuild | null = null;

/** Where a build lies. @throws TypeError in a bundle that has no URL of its own */
export function packagedKernels(build: KernelBuild): URL | Uint8Array<ArrayBuffer> {
  switch (build) {
    case 'simd':
      return new URL('../../build/simd.wasm', import.meta.url);
    case 'relaxed-simd':
      return new URL('../../build/relaxed-simd.wasm', import.meta.url);
    case 'simd-threads':
      return new URL('../../build/simd-threads.wasm', import.meta.url);
    case 'relaxed-simd-threads':
      return new URL('../../build/relaxed-simd-threads.wasm', import.meta.url);
  }
}

/** The worker's script, by file, then by text where the file is not found. */
export function packagedWorkers(platform: 'node' | 'browser'): WorkerScript[] {
  // Not in one expression: only the line for browsers is for bundlers, which would ship the file a second time.
  const here = import.meta.url;
  const scripts: WorkerScript[] = [];
  if (platform === 'browser')
    scripts.push({
      make: () => new Worker(new URL('../worker.js', import.meta.url), { type: 'module' }),
      // Its address where no bundler moved the file.
      name: here?.endsWith('/dist/engine/packaged.js')
        ? new URL('../worker.js', here).href
        : 'lora-wasm/worker',
    });
  else if (here?.startsWith('file:'))
    scripts.push({ url: new URL(here.endsWith('.ts') ? '../../dist/worker.js' : '../worker.js', here) });
  if (WORKER_TEXT !== '') scripts.push({ text: WORKER_TEXT });
  return scripts;
}
