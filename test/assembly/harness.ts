/**
 * Runs a kernel suite over every optimised build, and with two threads that share every product, with operands placed by hand in an imported memory. Matrices get
 * NaN-filled stride gaps and guards around them, so that a kernel that reads or writes outside its operand is found.
 * A build that the engine cannot run is one skipped suite. Bytes come through `src/platform`: the suites run in a page too.
 */
import { describe } from 'vitest';
import type { Kernels } from '../../src/engine/abi.js';
import {
  type BackwardInputOperands,
  type BackwardWeightOperands,
  backwardInputCall,
  backwardWeightCall,
  type Call,
  type ForwardOperands,
  forwardCall,
} from '../../src/engine/calls.js';
import { type Matrix, matrix, type Weight, weight } from '../../src/engine/operands.js';
import { readBytes } from '../../src/platform/index.js';
import type { WeightDType } from '../../src/values/dtypes.js';
import { canThread } from '../support/runtimes.js';
import { type RunCall, shareProducts, THREADS } from './threads.js';

const PAGES = 512;
const GUARD = 8;
/** What stands around scratch: a kernel that writes outside of it changes this. */
const CANARY = 0x7fc0beef;
const CANARIES = 16;

/** A row-major matrix in linear memory; `ld` is its row stride in elements. */
export interface Placed {
  readonly ptr: number;
  readonly rows: number;
  readonly cols: number;
  readonly ld: number;
}

/** A placed matrix as an operand of a product. */
export function operand({ ptr, rows, cols, ld }: Placed): Matrix {
  return matrix(ptr, rows, cols, ld);
}

/** A placed matrix as the weight of a product. */
export function weightOperand({ ptr, rows, cols, ld }: Placed, dtype: WeightDType = 'f32'): Weight {
  return weight(ptr, rows, cols, dtype, ld);
}

const runWhole =
  (kernels: Kernels): RunCall =>
  (_path, { kernel, whole }, scratch) =>
    (kernels[kernel] as (...args: number[]) => void)(...whole(scratch));

export class Harness {
  readonly kernels: Kernels;
  readonly level: number;
  readonly #memory: WebAssembly.Memory;
  readonly #run: RunCall;
  readonly #threads: number;
  #next = 0;

  private constructor(kernels: Kernels, memory: WebAssembly.Memory, threads: number, run: RunCall) {
    this.kernels = kernels;
    this.#memory = memory;
    this.#threads = threads;
    this.#run = run;
    this.level = this.kernels.simdLevel();
    this.reset();
  }

  /** A harness over one thread, or over two that share every product. */
  static async make(module: WebAssembly.Module, threads: 1 | 2): Promise<Harness> {
    const abort = (): never => {
      throw new Error('kernel: abort');
    };
    const pages = { initial: PAGES, maximum: PAGES, shared: threads > 1 };
    const memory = new WebAssembly.Memory(pages);
    const { exports } = await WebAssembly.instantiate(module, { env: { memory, abort } });
    const kernels = exports as unknown as Kernels;
    if (threads === 1) return new Harness(kernels, memory, 1, runWhole(kernels));
    return new Harness(kernels, memory, THREADS, await shareProducts(module, memory, kernels));
  }

  /** y = colScale ⊙ (x·Wᵀ + left·rightᵀ) + bias on one path. @throws Error when the kernel writes outside its scratch */
  forward(path: number, operands: ForwardOperands): void {
    this.#product(path, operands.w, forwardCall(path, operands), operands.x.columns);
  }

  /** dx (+)= dy·W + left·right on one path. */
  backwardInput(path: number, operands: BackwardInputOperands): void {
    this.#product(path, operands.w, backwardInputCall(path, operands), operands.dx.columns);
  }

  /** dW (+)= dyᵀ·x on one path. */
  backwardWeight(path: number, operands: BackwardWeightOperands): void {
    this.#product(path, null, backwardWeightCall(path, operands), operands.dw.columns);
  }

  #product(path: number, w: Weight | null, call: Call, K: number): void {
    const bytes = this.kernels.productScratch(path, w?.code ?? 0, K) >>> 0;
    const before = this.#next;
    const scratch = this.scratch(bytes * this.#threads);
    this.#run(path, call, scratch, bytes);
    this.#checkCanaries(scratch, bytes * this.#threads, call.kernel);
    this.#next = before;
  }

  #checkCanaries(scratch: number, bytes: number, what: string): void {
    for (const at of [scratch - 4 * CANARIES, scratch + Math.ceil(bytes / 16) * 16])
      if (new Uint32Array(this.#memory.buffer, at, CANARIES).some((word) => word !== CANARY))
        throw new Error(`${what}: wrote outside its scratch of ${bytes} bytes`);
  }

  /** Forgets everything placed; call it between cases. */
  reset(): void {
    this.#next = Math.ceil((this.kernels.heapBase() >>> 0) / 16) * 16;
  }

  /** Places values on a 4-byte but not 16-byte boundary, NaN before and behind them. */
  f32(data: ArrayLike<number>): number {
    return this.matrix(1, data.length, data, 0).ptr;
  }

  /** Places whole numbers. They never pass through a float: an engine may change the bits of a NaN, such as those of -100. */
  i32(data: readonly number[]): number {
    const ptr = this.f32(new Float32Array(data.length));
    new Int32Array(this.#memory.buffer, ptr, data.length).set(data);
    return ptr;
  }

  /** Places [rows, cols] with `gap` NaNs behind every row. */
  matrix(rows: number, cols: number, data: ArrayLike<number>, gap = 3): Placed {
    const ld = cols + gap;
    const start = this.#take((rows * ld + 2 * GUARD + 1) * 4);
    const ptr = start + (GUARD + 1) * 4;
    new Float32Array(this.#memory.buffer, start, rows * ld + 2 * GUARD + 1).fill(Number.NaN);
    const view = new Float32Array(this.#memory.buffer, ptr, rows * ld);
    for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) view[i * ld + j] = data[i * cols + j]!;
    return { ptr, rows, cols, ld };
  }

  /** Aligned scratch of NaN, canaries before and behind it. */
  scratch(bytes: number): number {
    const size = Math.ceil(bytes / 16) * 16;
    const start = this.#take(size + 8 * CANARIES);
    new Uint32Array(this.#memory.buffer, start, size / 4 + 2 * CANARIES).fill(CANARY);
    return start + 4 * CANARIES;
  }

  /** Places bytes on an even address that is no multiple of four, others before and behind them. */
  bytes(data: Uint8Array): number {
    const start = this.#take(data.length + 2 * GUARD * 4);
    new Uint8Array(this.#memory.buffer, start, data.length + 2 * GUARD * 4).fill(0xa5);
    const at = start + GUARD * 4 - 2;
    new Uint8Array(this.#memory.buffer, at, data.length).set(data);
    return at;
  }

  /** A copy of n values. */
  read(ptr: number, n: number): Float32Array {
    return new Float32Array(this.#memory.buffer, ptr, n).slice();
  }

  /** The values of a placed matrix, without its gaps. */
  values(at: Placed): Float32Array {
    const out = new Float32Array(at.rows * at.cols);
    for (let i = 0; i < at.rows; i++) out.set(this.read(at.ptr + i * at.ld * 4, at.cols), i * at.cols);
    return out;
  }

  /** Whether gaps and guards still hold NaN. */
  intact(at: Placed): boolean {
    const all = this.read(at.ptr - GUARD * 4, at.rows * at.ld + 2 * GUARD);
    for (let i = 0; i < all.length; i++) {
      const inside = i - GUARD;
      const real = inside >= 0 && inside < at.rows * at.ld && inside % at.ld < at.cols;
      if (!real && !Number.isNaN(all[i])) return false;
    }
    return true;
  }

  #take(bytes: number): number {
    const start = this.#next;
    this.#next = Math.ceil((start + bytes) / 16) * 16;
    if (this.#next > this.#memory.buffer.byteLength)
      throw new RangeError('Harness: memory is full; reset first');
    return start;
  }
}

const BUILDS = [
  ['simd', 1, new URL('../../build/simd.wasm', import.meta.url)],
  ['relaxed-simd', 1, new URL('../../build/relaxed-simd.wasm', import.meta.url)],
  ['simd-threads', 2, new URL('../../build/simd-threads.wasm', import.meta.url)],
  ['relaxed-simd-threads', 2, new URL('../../build/relaxed-simd-threads.wasm', import.meta.url)],
] as const;

const loaded = await Promise.all(
  BUILDS.map(async ([name, threads, url]) => {
    const bytes = await readBytes(url);
    const runs = WebAssembly.validate(bytes) && (threads === 1 || canThread);
    return { name, harness: runs ? await Harness.make(new WebAssembly.Module(bytes), threads) : null };
  }),
);

/** Describes one suite a build. */
export function describeBuilds(suite: (harness: Harness) => void): void {
  for (const { name, harness } of loaded) {
    if (harness !== null) describe(name, () => suite(harness));
    else describe.skip(`${name} (this engine cannot run it)`, () => suite({} as Harness));
  }
}
