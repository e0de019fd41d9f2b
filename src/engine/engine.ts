/**
 * The engine under a Runtime: one instance of the kernels, its memory and allocator, the scratch, the state of the
 * random numbers, and fresh views. Knows no tensor. Made by `create-engine.ts`, owned by `tensor/runtime.ts`.
 */
import { platform } from '../platform/index.js';
import type { Kernels } from './abi.js';
import { Allocator, type AllocatorUse } from './allocator.js';
import type { Span } from './operands.js';
import type { Pool } from './pool/pool.js';
import { Products } from './products.js';
import { Sharing } from './sharing.js';
import type { LoadedKernels } from './wasm.js';

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

export const MIB = 2 ** 20;

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
