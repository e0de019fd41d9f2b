/** Finding, checking and instantiating a kernel build, and the memory that it computes in. Called by `create-engine.ts`. */
import { relaxedSimd, simd } from '../vendor/feature-detect.js';
import { instantiate } from '../vendor/loader.js';
import type { KernelBuild, KernelLevel, Kernels } from './abi.js';
import { abortIn } from './abort.js';
import { OutOfMemoryError } from './errors.js';
import { compileKernels, noRelaxedSimd, noSimd, type WasmSource } from './kernel-file.js';
import type { Choice } from './one-build.js';
import { packagedBuild } from './packaged.js';

export type { WasmSource } from './kernel-file.js';

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
/** All pages but the last below 4 GiB: an end there would be address 0. */
const MOST_BYTES = 65_535 * PAGE;
const SHARED_SIZES = [MOST_BYTES, 2048 * MIB, 1024 * MIB, 512 * MIB];
const LEVELS = ['simd', 'relaxed-simd'] as const;

async function chooseLevel(asked: 'auto' | KernelLevel, wasm: WasmOption | undefined): Promise<Choice> {
  if (!(await simd())) throw noSimd();
  if (packagedBuild !== null && wasm === undefined) return packagedBuild.choose(asked);
  if (asked === 'auto') {
    const relaxed = await relaxedSimd();
    return {
      build: relaxed ? 'relaxed-simd' : 'simd',
      reason: `this engine has ${relaxed ? '' : 'no '}relaxed SIMD`,
    };
  }
  if (asked === 'relaxed-simd' && !(await relaxedSimd())) throw noRelaxedSimd();
  return { build: asked, reason: `asked for by kernels: '${asked}'` };
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
  // A module has been compiled by this engine: there is nothing to ask it, and hosts that compile nothing may not be asked.
  let { build, reason }: Choice =
    wasm instanceof WebAssembly.Module
      ? { build: asked === 'auto' ? 'simd' : asked, reason: `asked for by kernels: '${asked}'` }
      : await chooseLevel(asked, wasm);
  const name: KernelBuild = shared ? `${build}-threads` : build;
  const module = await compileKernels(typeof wasm === 'function' ? await wasm(name) : wasm, name);
  const { memory, maxBytes } = makeMemory(shared, request.maxBytes);
  let kernels: Kernels;
  try {
    // The instance's own exports: the loader's gather the arguments of every call in an array.
    const { instance } = await instantiate(module, { env: { memory, abort: abortIn(memory) } });
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
  }
  if (asked === 'auto' && wasm !== undefined && typeof wasm !== 'function')
    reason = `the given wasm holds the '${found}' kernels`;
  return { kernels, module, memory, maxBytes, build, reason };
}
