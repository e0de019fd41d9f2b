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
  const source = given ?? (await packagedSource(build));
  const [bytes, from] = await readKernels(source, build);
  if (!isWebAssembly(bytes)) throw await fault((say) => say.noWebAssembly(build, from, bytes));
  try {
    return await WebAssembly.compile(bytes);
  } catch (cause) {
    throw await fault((say) => say.notCompiled(build, from, messageOf(cause)), cause);
  }
}

async function packagedSource(build: KernelBuild): Promise<URL | Uint8Array<ArrayBuffer>> {
  try {
    return packagedKernels(build);
  } catch (cause) {
    throw await fault((say) => say.withoutAddress(build), cause);
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
    const { missing = false, detail = messageOf(cause) } = cause instanceof ReadError ? cause : {};
    throw await fault((say) => say.unread(build, url, missing, detail), cause);
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

function isWebAssembly(bytes: Uint8Array): boolean {
  return bytes[0] === 0 && bytes[1] === 0x61 && bytes[2] === 0x73 && bytes[3] === 0x6d;
}

/** What went wrong, in words that are read now; where they do not load either, in those of the cause. */
async function fault(
  sentence: (say: typeof import('./kernel-faults.js')) => string,
  cause?: unknown,
): Promise<Error> {
  const words = await import('./kernel-faults.js').then(
    sentence,
    () =>
      `the kernels did not load${cause === undefined ? '' : `: ${messageOf(cause)}`}, see docs/bundlers.md`,
  );
  return new Error(`createRuntime: ${words}`, { cause });
}
