/**
 * The compiled module of a kernel build, from wherever it comes; and where that fails a sentence with the address, the cause
 * and what helps. Called by `wasm.ts`.
 */
import { messageOf, ReadError, readBytes, resolveUrl } from '../platform/index.js';
import { describe } from '../values/checks.js';
import type { HostUrl, HostWasmModule } from '../values/globals.js';
import { bytesOf, urlOf } from '../values/kind.js';
import type { KernelBuild } from './abi.js';
import { packagedKernels } from './packaged.js';

/** Where a kernel build comes from: its bytes, a URL or a string that leads to them, or a compiled module. */
export type WasmSource = Uint8Array | ArrayBuffer | HostUrl | string | HostWasmModule;

/** @throws Error where the engine has no SIMD */
export function noSimd(): Error {
  return new Error('createRuntime: this engine has no WebAssembly SIMD, expected one of 2023 or newer');
}

/** @param otherwise - what else helps than another of the option's values */
export function noRelaxedSimd(otherwise = ''): Error {
  return new Error(
    `createRuntime: kernels is 'relaxed-simd', but this engine has no relaxed SIMD; expected 'auto' or 'simd'${otherwise}`,
  );
}

/**
 * @param given - undefined for the packaged file
 * @throws TypeError, Error
 */
export async function compileKernels(
  given: WasmSource | undefined,
  build: KernelBuild,
): Promise<WebAssembly.Module> {
  if (given instanceof WebAssembly.Module) return given;
  const source = given ?? packagedSource(build);
  const [bytes, from] = await readKernels(source, build);
  checkMagic(bytes, from, build);
  try {
    return await WebAssembly.compile(bytes);
  } catch (cause) {
    const message = messageOf(cause);
    if (/unsafe-eval|content security policy|\bcsp\b|disallowed by embedder/i.test(message)) {
      throw new Error(
        "createRuntime: the Content-Security-Policy forbids WebAssembly: add 'wasm-unsafe-eval' to its script-src, or give createRuntime({ wasm }) a module, see docs/bundlers.md",
        { cause },
      );
    }
    throw new Error(`createRuntime: the kernels ${from} did not compile: ${message}. ${remedy(build)}`, {
      cause,
    });
  }
}

function packagedSource(build: KernelBuild): URL | Uint8Array<ArrayBuffer> {
  try {
    return packagedKernels(build);
  } catch (cause) {
    throw new Error(
      `createRuntime: the kernels have no address, since this bundle has no import.meta.url. ${remedy(build)}`,
      { cause },
    );
  }
}

/** The bytes, and where they are from, in words. */
async function readKernels(
  source: WasmSource,
  build: KernelBuild,
): Promise<[Uint8Array<ArrayBuffer>, string]> {
  const url = typeof source === 'string' ? addressOf(source) : urlOf(source);
  if (url === null) {
    const bytes = bytesOf(source);
    if (bytes === null)
      throw new TypeError(
        `createRuntime: wasm is ${describe(source)}, expected bytes, a URL, a string, a WebAssembly.Module or a function`,
      );
    // The engine compiles no bytes that another thread may change.
    return [Uint8Array.from(bytes), 'given as bytes'];
  }
  try {
    return [await readBytes(url), `from ${url.href}`];
  } catch (cause) {
    throw new Error(`createRuntime: the kernels ${whyUnread(url, cause)}. ${remedy(build)}`, { cause });
  }
}

/** @throws TypeError for text that is no address */
function addressOf(text: string): URL {
  try {
    return resolveUrl(text);
  } catch (cause) {
    throw new TypeError(`createRuntime: wasm is ${describe(text)}, expected a URL or a path`, { cause });
  }
}

/** What stood against reading, in words. */
function whyUnread(url: URL, cause: unknown): string {
  const { missing = false, detail = messageOf(cause) } = cause instanceof ReadError ? cause : {};
  if (missing) return `are not at ${url.href}: ${detail}`;
  // A browser tells no script which of these it was.
  return `could not be read from ${url.href}: ${detail} (offline, connect-src of a Content-Security-Policy, or no Access-Control-Allow-Origin)`;
}

/** A page in place of a file is how development servers answer for what they do not have. @throws Error unless bytes are WebAssembly */
function checkMagic(bytes: Uint8Array, from: string, build: KernelBuild): void {
  if (bytes[0] === 0 && bytes[1] === 0x61 && bytes[2] === 0x73 && bytes[3] === 0x6d) return;
  const start = String.fromCharCode(...bytes.subarray(0, 12));
  const got = start.trimStart().startsWith('<')
    ? 'an HTML page'
    : `${bytes.length} bytes that begin with ${JSON.stringify(start)}`;
  throw new Error(`createRuntime: the kernels ${from} are no WebAssembly but ${got}. ${remedy(build)}`);
}

/** What helps where the packaged kernels are not found. */
function remedy(build: KernelBuild): string {
  return `Import 'lora-wasm/inline', or give createRuntime({ wasm }) the place of lora-wasm/build/${build}.wasm, see docs/bundlers.md`;
}
