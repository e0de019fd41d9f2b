/**
 * The files that the package brings: a kernel build each, and what starts threads. Bundlers find what is written as
 * `new URL('literal', import.meta.url)`, and nothing else. `lora-wasm/inline` has the bytes in place of this file.
 */
import type { KernelBuild } from './abi.js';
import type { OneBuild } from './one-build.js';

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

/** What starts threads: code that is read by whom has asked for them, and left out of what every page loads. */
export const packagedPool = (): Promise<typeof import('./pool/start.js')> => import('./pool/start.js');
