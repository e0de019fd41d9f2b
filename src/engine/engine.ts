/**
 * The engine under a Runtime: one instance of the kernels, its memory and allocator, the scratch, the state of the
 * random numbers, and fresh views. Knows no tensor. Made by `createEngine`, owned by `tensor/runtime.ts`.
 */
import { messageOf, platform, type WorkerScript } from '../platform/index.js';
import { checkInteger, checkOptions, describe } from '../values/checks.js';
import type { Kernels } from './abi.js';
import { Allocator, type AllocatorUse } from './allocator.js';
import { OutOfMemoryError } from './errors.js';
import type { Span } from './operands.js';
import { packagedBuild, packagedPool } from './packaged.js';
import type { Pool } from './pool/pool.js';
import { planThreads, type ThreadsOption, type WorkerOption, workerScript } from './pool/threads.js';
import { Products } from './products.js';
import { Sharing } from './sharing.js';
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

/** What `rt.info()` says. */
export interface RuntimeInfo {
  readonly kernels: 'simd' | 'relaxed-simd';
  /** Why these kernels run. */
  readonly reason: string;
  /** Threads that compute. */
  readonly threads: number;
  /** Why so many. */
  readonly threadsReason: string;
  /** Limit of linear memory in units of 2^20 bytes. */
  readonly maxMemoryMB: number;
  readonly platform: 'node' | 'browser';
  readonly seed: number;
}

/** Streams of the counter-based generator: numbers of different purposes never meet. */
export const RANDOM_STREAM = { init: 1, dropout: 2, user: 3 } as const;

const MIB = 2 ** 20;

/** The workers beside the caller, or none, and why. */
export interface Threading {
  readonly pool: Pool | null;
  readonly reason: string;
}

/** What `dispose` drops. */
interface Live {
  readonly kernels: Kernels;
  readonly memory: WebAssembly.Memory;
  readonly allocator: Allocator;
}

export class Engine {
  readonly level: number;
  readonly sharing: Sharing;
  readonly products: Products;
  readonly threading: Threading;
  /** Live tensors over this memory: kept here, where what is left of a collected one still finds it. */
  liveTensors = 0;
  /** Layers and parameters that took a place in the generator's counter so far: the next one's place. */
  layers = 0;
  /** Tensors of random numbers drawn so far: the next one's place. */
  draws = 0;
  seed = 0;
  seedLow = 0;
  seedHigh = 0;
  readonly #build: RuntimeInfo['kernels'];
  readonly #reason: string;
  readonly #maxMemoryMB: number;
  #live: Live | null;
  #scratchPointer = 0;
  #scratchBytes = 0;
  #f32 = new Float32Array(0);
  #i32 = new Int32Array(0);
  #u16 = new Uint16Array(0);

  constructor(loaded: LoadedKernels, seed: number, threading: Threading) {
    const { kernels, memory, maxBytes, build, reason } = loaded;
    this.#maxMemoryMB = Math.floor(maxBytes / MIB);
    this.level = build === 'relaxed-simd' ? 1 : 0;
    this.#build = build;
    this.#reason = reason;
    this.#live = { kernels, memory, allocator: new Allocator(memory, kernels.heapBase() >>> 0, maxBytes) };
    this.threading = threading;
    this.sharing = new Sharing(this, threading.pool);
    this.products = new Products(this, this.sharing);
    this.setSeed(seed);
  }

  /** @param seed - an integer from 0 to 2^53 - 1 */
  setSeed(seed: number): void {
    this.seed = seed;
    this.seedLow = seed | 0;
    this.seedHigh = Math.floor(seed / 2 ** 32) | 0;
  }

  info(): RuntimeInfo {
    const { pool } = this.threading;
    const threads = pool?.threads ?? 1;
    const threadsReason = pool?.reason || this.threading.reason;
    return {
      kernels: this.#build,
      reason: this.#reason,
      threads,
      threadsReason,
      maxMemoryMB: this.#maxMemoryMB,
      platform,
      seed: this.seed,
    };
  }

  /** @throws Error after dispose */
  get kernels(): Kernels {
    return this.#use().kernels;
  }

  /** Linear memory. @throws Error after dispose */
  get memory(): WebAssembly.Memory {
    return this.#use().memory;
  }

  get disposed(): boolean {
    return this.#live === null;
  }

  /** Bytes of linear memory, and what of it is in use. */
  use(): AllocatorUse & { readonly bytes: number } {
    const { memory, allocator } = this.#use();
    return { bytes: memory.buffer.byteLength, ...allocator.use() };
  }

  /** Bytes that memory may grow to. */
  get memoryLimit(): number {
    return this.#use().allocator.limit;
  }

  resetPeak(): void {
    this.#use().allocator.resetPeak();
  }

  allocate(bytes: number): number {
    return this.#use().allocator.allocate(bytes);
  }

  free(pointer: number, bytes: number): void {
    this.#live?.allocator.free(pointer, bytes);
  }

  /** At least `bytes` of scratch, valid until the next call. After an error it is as large as before. */
  scratch(bytes: number): number {
    const before = this.#scratchBytes;
    if (bytes <= before) return this.#scratchPointer;
    if (before > 0) this.free(this.#scratchPointer, before);
    this.#scratchBytes = 0;
    try {
      this.#takeScratch(bytes);
    } catch (error) {
      if (before > 0) this.#takeScratch(before);
      throw error;
    }
    return this.#scratchPointer;
  }

  /** Lets nobody use the blocks that meet the span, or the scratch, again before `ended`: a worker may still write there. */
  fence(span: Span, ended: Promise<unknown>): void {
    const { allocator } = this.#use();
    allocator.fence(span.pointer, span.bytes);
    if (this.#scratchBytes > 0) {
      allocator.fence(this.#scratchPointer, this.#scratchBytes);
      this.free(this.#scratchPointer, this.#scratchBytes);
      this.#scratchBytes = 0;
    }
    void ended.then(() => allocator.liftFences());
  }

  /** The memory as float32: valid until the next allocation, never to be kept. */
  f32(): Float32Array {
    const buffer = this.memory.buffer;
    if (this.#f32.buffer !== buffer) this.#f32 = new Float32Array(buffer);
    return this.#f32;
  }

  /** The memory as int32: valid until the next allocation, never to be kept. */
  i32(): Int32Array {
    const buffer = this.memory.buffer;
    if (this.#i32.buffer !== buffer) this.#i32 = new Int32Array(buffer);
    return this.#i32;
  }

  /** The memory as words of 16 bits: valid until the next allocation, never to be kept. */
  u16(): Uint16Array {
    const buffer = this.memory.buffer;
    if (this.#u16.buffer !== buffer) this.#u16 = new Uint16Array(buffer);
    return this.#u16;
  }

  /** Drops the instance and its memory, and ends the workers. */
  dispose(): void {
    void this.threading.pool?.close('the runtime was disposed of');
    this.#live = null;
    this.#f32 = new Float32Array(0);
    this.#i32 = new Int32Array(0);
    this.#u16 = new Uint16Array(0);
  }

  #takeScratch(bytes: number): void {
    this.#scratchPointer = this.allocate(bytes);
    this.#scratchBytes = bytes;
  }

  #use(): Live {
    if (this.#live === null) throw new Error('Runtime: used after dispose()');
    return this.#live;
  }
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
  return start.startPool(loaded, threads, script);
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
