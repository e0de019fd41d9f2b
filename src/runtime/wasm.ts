/** Finding, checking and instantiating a kernel build, and the memory that it computes in. Called by `engine.ts`. */
import { relaxedSimd, simd } from 'wasm-feature-detect';
import { readBytes } from '#platform';
import { bytesOf, urlOf } from '../values/kind.js';
import type { KernelBuild, KernelLevel, Kernels } from './abi.js';
import { describe, OutOfMemoryError } from './errors.js';

/** Where a kernel build comes from: its bytes, a URL to read, or a compiled module. */
export type WasmSource = Uint8Array | ArrayBuffer | URL | string | WebAssembly.Module;

/** One source, or a function from the build's name to one. */
export type WasmOption = WasmSource | ((build: KernelBuild) => WasmSource | Promise<WasmSource>);

export interface LoadedKernels {
  readonly kernels: Kernels;
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** Bytes that memory may grow to. */
  readonly maxBytes: number;
  readonly build: KernelLevel;
  /** Why this build was chosen. */
  readonly reason: string;
}

/** Which kernels to load. */
export interface LoadRequest {
  readonly level: 'auto' | KernelLevel;
  readonly wasm: WasmOption | undefined;
  /** Bytes that memory may grow to: a shared memory says so when it is made. Null for as many as can be had. */
  readonly maxBytes: number | null;
}

/** What the builds ask for at least: 1 MiB, which every limit allows. */
const INITIAL_PAGES = 16;
const PAGE = 65536;
const MIB = 2 ** 20;
/** The last page below 4 GiB is never used. */
const MOST_BYTES = 4095 * MIB;
const SHARED_SIZES = [MOST_BYTES, 2048 * MIB, 1024 * MIB, 512 * MIB];
const LEVELS = ['simd', 'relaxed-simd'] as const;

function packagedUrl(build: KernelBuild): URL {
  // Literal URLs, so that bundlers find the files.
  if (build === 'relaxed-simd') return new URL('../../build/relaxed-simd.wasm', import.meta.url);
  if (build === 'simd-threads') return new URL('../../build/simd-threads.wasm', import.meta.url);
  if (build === 'relaxed-simd-threads')
    return new URL('../../build/relaxed-simd-threads.wasm', import.meta.url);
  return new URL('../../build/simd.wasm', import.meta.url);
}

async function chooseLevel(asked: 'auto' | KernelLevel): Promise<{ build: KernelLevel; reason: string }> {
  if (!(await simd())) {
    throw new Error(
      'createRuntime: this engine has no WebAssembly SIMD, which is the least that lora-wasm needs',
    );
  }
  if (asked === 'simd') return { build: 'simd', reason: "asked for by kernels: 'simd'" };
  const relaxed = await relaxedSimd();
  if (asked === 'relaxed-simd') {
    if (!relaxed) {
      throw new Error(
        "createRuntime: kernels is 'relaxed-simd', but this engine has no relaxed SIMD; expected 'auto' or 'simd'",
      );
    }
    return { build: 'relaxed-simd', reason: "asked for by kernels: 'relaxed-simd'" };
  }
  return relaxed
    ? { build: 'relaxed-simd', reason: 'this engine has relaxed SIMD' }
    : { build: 'simd', reason: 'this engine has no relaxed SIMD' };
}

/** @throws TypeError for text that is no address */
function addressOf(text: string): URL {
  if (!URL.canParse(text, import.meta.url))
    throw new TypeError(
      `createRuntime: wasm is ${describe(text)}, expected a URL or a path relative to the package`,
    );
  return new URL(text, import.meta.url);
}

async function compile(source: WasmSource): Promise<WebAssembly.Module> {
  if (source instanceof WebAssembly.Module) return source;
  const url = typeof source === 'string' ? addressOf(source) : urlOf(source);
  const given = url === null ? bytesOf(source) : await readBytes(url);
  if (given === null)
    throw new TypeError(
      'createRuntime: wasm is of an unknown kind, expected bytes, a URL, a WebAssembly.Module or a function',
    );
  // The engine compiles no bytes that another thread may change.
  const bytes: Uint8Array<ArrayBuffer> = Uint8Array.from(given);
  try {
    return await WebAssembly.compile(bytes);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    if (/unsafe-eval|content security policy|disallowed by embedder/i.test(message)) {
      throw new Error(
        "createRuntime: the page's Content-Security-Policy forbids WebAssembly; add 'wasm-unsafe-eval' to script-src",
        { cause },
      );
    }
    throw new Error(`createRuntime: the kernels did not compile: ${message}`, { cause });
  }
}

/**
 * A memory for the kernels. A shared one may have to be reserved whole: where nobody asked for a size, smaller ones are tried.
 * @throws OutOfMemoryError where the engine has no room for one
 */
function makeMemory(shared: boolean, asked: number | null): { memory: WebAssembly.Memory; maxBytes: number } {
  const sizes = asked !== null ? [asked] : shared ? SHARED_SIZES : [MOST_BYTES];
  let cause: unknown;
  for (const maxBytes of sizes) {
    try {
      const memory = shared
        ? new WebAssembly.Memory({ initial: INITIAL_PAGES, maximum: maxBytes / PAGE, shared })
        : new WebAssembly.Memory({ initial: INITIAL_PAGES });
      return { memory, maxBytes };
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      cause = error;
    }
  }
  const kind = shared ? 'a memory for threads' : 'a memory';
  const least = sizes.at(-1)!;
  throw new OutOfMemoryError(
    INITIAL_PAGES * PAGE,
    0,
    least,
    `createRuntime: the engine could not reserve ${kind} (${(cause as RangeError).message}): dispose of other runtimes, or raise the process's limit of address space`,
    { cause },
  );
}

/**
 * Loads the kernels that are asked for and that the engine allows.
 * @returns null when `shared` is wanted and the given wasm is a build without threads
 * @throws Error when the engine or the source disagrees
 */
export async function loadKernels(request: LoadRequest, shared: false): Promise<LoadedKernels>;
export async function loadKernels(request: LoadRequest, shared: boolean): Promise<LoadedKernels | null>;
export async function loadKernels(request: LoadRequest, shared: boolean): Promise<LoadedKernels | null> {
  const { level: asked, wasm } = request;
  let { build, reason } = await chooseLevel(asked);
  const name: KernelBuild = shared ? `${build}-threads` : build;
  const module = await compile(typeof wasm === 'function' ? await wasm(name) : (wasm ?? packagedUrl(name)));
  const { memory, maxBytes } = makeMemory(shared, request.maxBytes);
  const abort = (_message: number, _file: number, line: number, column: number): never => {
    throw new Error(`kernel assertion failed at line ${line}, column ${column}`);
  };
  let kernels: Kernels;
  try {
    const instance = await WebAssembly.instantiate(module, { env: { memory, abort } });
    kernels = instance.exports as unknown as Kernels;
  } catch (error) {
    if (!(error instanceof WebAssembly.LinkError)) throw error;
    if (shared) return null;
    throw new Error(`createRuntime: wasm does not link with the memory of one thread, expected '${name}'`, {
      cause: error,
    });
  }
  if (typeof kernels.simdLevel !== 'function' || typeof kernels.heapBase !== 'function') {
    throw new TypeError('createRuntime: wasm is not a build of the lora-wasm kernels');
  }
  const found = LEVELS[kernels.simdLevel()];
  if (found !== build) {
    if (asked !== 'auto' || typeof wasm === 'function' || found === undefined) {
      throw new Error(`createRuntime: wasm holds the '${found}' kernels, expected '${build}'`);
    }
    build = found;
    reason = `the given wasm holds the '${found}' kernels`;
  }
  return { kernels, module, memory, maxBytes, build, reason };
}
