/** Making an engine: the options of `createRuntime` checked, its kernels loaded, its threads started where they can be had. */
import { messageOf, type WorkerScript } from '../platform/index.js';
import { checkInteger, checkOptions, describe } from '../values/checks.js';
import { Engine, MIB } from './engine.js';
import { OutOfMemoryError } from './errors.js';
import { packagedBuild, packagedPool } from './packaged.js';
import type { Pool } from './pool/pool.js';
import { HOST, planThreads, type ThreadsOption, type WorkerOption, workerScript } from './pool/threads.js';
import { type LoadedKernels, type LoadRequest, loadKernels, type WasmOption } from './wasm.js';

/** Options of `createRuntime`. */
export interface RuntimeOptions {
  /** Kernel build: `'auto'` takes relaxed SIMD where the engine has it; `'simd'` gives the same bits everywhere. Default `'auto'`. */
  readonly kernels?: 'auto' | 'simd' | 'relaxed-simd';
  /**
   * Limit of linear memory in units of 2^20 bytes, 1 to 4095. Default 4095, or 2048, 1024 or 512 where threads are to share
   * memory and the engine has no room for more; `rt.info()` says which.
   */
  readonly maxMemoryMB?: number;
  /** Seed of every random number, an integer from 0 to 2^53 - 1. Default 0. */
  readonly seed?: number;
  /**
   * Threads that compute, the caller's among them, 1 to 32. `'auto'` takes the machine's cores, at most 8, where threads can be
   * had: in Node, and in workers of a cross-origin isolated page. Bits do not depend on the number. Default `'auto'`.
   */
  readonly threads?: ThreadsOption;
  /**
   * The kernels' bytes, URL or module, or a function from the build's name to one; builds for more than one thread end in
   * `-threads`. A string is read as `fetch` would read it, in Node also as a path. Default: the packaged files.
   */
  readonly wasm?: WasmOption;
  /**
   * The script of the threads: where `lora-wasm/worker` lies, a string as for `wasm`, or a function that makes a Worker of it.
   * Default: the packaged file, or the same text where the file is not found.
   */
  readonly worker?: WorkerOption;
}

/** Ends the workers of a runtime that was dropped without dispose, some time later. A pool knows no engine. */
const forgotten = new FinalizationRegistry<Pool>((pool) => void pool.close('the runtime was dropped'));

/** Loads the kernels and makes an engine. @throws OutOfMemoryError where no memory can be had */
export async function createEngine(options: RuntimeOptions): Promise<Engine> {
  checkOptions('createRuntime', options, ['kernels', 'maxMemoryMB', 'seed', 'threads', 'wasm', 'worker']);
  const { kernels = 'auto', maxMemoryMB, seed = 0, threads = 'auto', wasm, worker } = options;
  if (kernels !== 'auto' && kernels !== 'simd' && kernels !== 'relaxed-simd') {
    throw new TypeError(
      `createRuntime: kernels is ${describe(kernels)}, expected 'auto', 'simd' or 'relaxed-simd'`,
    );
  }
  if (maxMemoryMB !== undefined) checkInteger('createRuntime: maxMemoryMB', maxMemoryMB, 1, 4095);
  checkInteger('createRuntime: seed', seed, 0, Number.MAX_SAFE_INTEGER);
  const plan = planThreads(threads);
  const script = workerScript(worker);
  const maxBytes = maxMemoryMB === undefined ? null : maxMemoryMB * MIB;
  const request: LoadRequest = { level: kernels, wasm, maxBytes };
  const held = wasm === undefined ? packagedBuild : null;
  let reason = plan.reason;
  if (plan.threads > 1) {
    const loaded = held?.threadsObstacle ?? (await loadShared(request));
    if (typeof loaded !== 'string') {
      const pool = await poolOf(loaded, plan.threads, script);
      if (typeof pool !== 'string') {
        const engine = new Engine(loaded, seed, { pool, reason });
        forgotten.register(engine, pool);
        return engine;
      }
      return new Engine(loaded, seed, { pool: null, reason: pool });
    }
    reason = loaded;
  }
  // Kernels for threads compute on one over a memory that could be shared.
  const loaded = await loadKernels(request, held?.threadsObstacle === null);
  if (loaded === null) throw new Error('createRuntime: wasm is not a build of the lora-wasm kernels');
  return new Engine(loaded, seed, { pool: null, reason });
}

/** A pool of workers, or why there is none: a part of the package that does not load is a reason like others. */
async function poolOf(
  loaded: LoadedKernels,
  threads: number,
  script: WorkerScript | null,
): Promise<Pool | string> {
  let start: Awaited<ReturnType<typeof packagedPool>>;
  try {
    start = await packagedPool();
  } catch (error) {
    return `what starts threads did not load: ${messageOf(error)}`;
  }
  return start.startPool(HOST, loaded, threads, script);
}

/** The kernels over a shared memory, or why they cannot be had. */
async function loadShared(request: LoadRequest): Promise<LoadedKernels | string> {
  try {
    return (await loadKernels(request, true)) ?? 'the given wasm is a build without threads';
  } catch (error) {
    if (error instanceof OutOfMemoryError) return error.message.replace('createRuntime: ', '');
    throw error;
  }
}
