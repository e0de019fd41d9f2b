/**
 * Why kernels did not load, in a sentence with the address, the cause and what helps. Read by `kernel-file.ts` when it happens, so
 * that no page carries these words that does not need them. Imports nothing: what is shared would be a file more to load.
 */
import type { KernelBuild } from './abi.js';

/** A bundle that has no URL of its own. */
export function withoutAddress(build: KernelBuild): string {
  return `the kernels have no address, since this bundle has no import.meta.url. ${remedy(build)}`;
}

/** What stood against reading. @param missing - whether nothing is there */
export function unread(build: KernelBuild, url: URL, missing: boolean, detail: string): string {
  // A browser tells no script which of these it was.
  const why = missing
    ? `are not at ${url.href}: ${detail}`
    : `could not be read from ${url.href}: ${detail} (offline, connect-src of a Content-Security-Policy, or no Access-Control-Allow-Origin)`;
  return `the kernels ${why}. ${remedy(build)}`;
}

/** A page in place of a file is how development servers answer for what they do not have. */
export function noWebAssembly(build: KernelBuild, from: string, bytes: Uint8Array): string {
  const start = String.fromCharCode(...bytes.subarray(0, 12));
  const got = start.trimStart().startsWith('<')
    ? 'an HTML page'
    : `${bytes.length} bytes that begin with ${JSON.stringify(start)}`;
  return `the kernels ${from} are no WebAssembly but ${got}. ${remedy(build)}`;
}

export function notCompiled(build: KernelBuild, from: string, message: string): string {
  return /unsafe-eval|content security policy|\bcsp\b|disallowed by embedder/i.test(message)
    ? "the Content-Security-Policy forbids WebAssembly: add 'wasm-unsafe-eval' to its script-src, or give createRuntime({ wasm }) a module, see docs/bundlers.md"
    : `the kernels ${from} did not compile: ${message}. ${remedy(build)}`;
}

/** What helps where the packaged kernels are not found. */
function remedy(build: KernelBuild): string {
  return `Import 'lora-wasm/inline', or give createRuntime({ wasm }) the place of lora-wasm/build/${build}.wasm, see docs/bundlers.md`;
}
