import type { Kernels } from '../../src/engine/abi.js';
import { abortIn } from '../../src/engine/abort.js';
import {
  type BackwardInputOperands,
  type BackwardWeightOperands,
  backwardInputCall,
  backwardWeightCall,
  type Call,
  type ForwardOperands,
  forwardCall,
} from '../../src/engine/calls.js';
import type { GradientMatrix } from '../../src/engine/matrices.js';
import { type Matrix, type Weight, weight } from '../../src/engine/operands.js';
import type { SharedWork, Shares, Whole } from '../../src/engine/sharing.js';
import type { WeightDType } from '../../src/values/dtypes.js';
import { type RunCall, shareProducts, THREADS } from './threads.js';

const PAGES = 512;
/** Words of guard before and behind whatever is placed, and what each of them is: a NaN. */
const GUARD = 16;
const CANARY = 0x7fc0beef;
/** The debug build is slow: of many cases it runs one in as many. */
const THINNED = 7;

/** A placed matrix as the weight of a product. */
export function weightOperand(
  { pointer, rows, columns, stride }: Matrix,
  dtype: WeightDType = 'f32',
): Weight {
  return weight(pointer, rows, columns, dtype, stride);
}

/** The place of a gradient in a placed matrix. */
export function gradientIn(place: Matrix, accumulate: 0 | 1): GradientMatrix {
  return { ...place, accumulate };
}

const runWhole =
  (kernels: Kernels): RunCall =>
  (_path, { kernel, whole }, scratch) =>
    (kernels[kernel] as (...args: number[]) => void)(...whole(scratch));

/** Words that no kernel may change: `count` of them, `times` over at a distance of `step`, from word `at` on. */
interface Guard {
  readonly what: string;
  readonly at: number;
  readonly count: number;
  readonly times: number;
  readonly step: number;
}

export class Harness {
  readonly kernels: Kernels;
  readonly level: number;
  /** Whether the kernels assert what they ask of their arguments. */
  readonly asserts: boolean;
  readonly #bytes: Uint8Array;
  readonly #words: Uint32Array;
  readonly #floats: Float32Array;
  readonly #run: RunCall;
  readonly #threads: number;
  #guards: Guard[] = [];
  #next = 0;

  private constructor(kernels: Kernels, memory: WebAssembly.Memory, name: string, run: RunCall) {
    this.kernels = kernels;
    // The memory never grows.
    this.#bytes = new Uint8Array(memory.buffer);
    this.#words = new Uint32Array(memory.buffer);
    this.#floats = new Float32Array(memory.buffer);
    this.asserts = name === 'debug';
    this.#threads = name.endsWith('threads') ? THREADS : 1;
    this.#run = run;
    this.level = this.kernels.simdLevel();
    this.reset();
  }

  /** A harness over one thread, or for a build with threads over two that share every product. */
  static async make(module: WebAssembly.Module, name: string): Promise<Harness> {
    const shared = name.endsWith('threads');
    const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared });
    const { exports } = await WebAssembly.instantiate(module, { env: { memory, abort: abortIn(memory) } });
    const kernels = exports as unknown as Kernels;
    const run = shared ? await shareProducts(module, memory, kernels) : runWhole(kernels);
    return new Harness(kernels, memory, name, run);
  }

  /** The cases that this build runs: all, or one in seven of them, the first and others evenly, where asserts are slow. */
  some<T>(cases: readonly T[]): readonly T[] {
    return this.asserts ? cases.filter((_, i) => i % THINNED === 0) : cases;
  }

  /** How often this build tries a property that is to be tried `count` times. */
  runs(count: number): number {
    return this.asserts ? Math.ceil(count / THINNED) : count;
  }

  /** y = colScale ⊙ (x·Wᵀ + left·rightᵀ) + bias on one path. @throws Error when the kernel writes outside its scratch */
  forward(path: number, operands: ForwardOperands): void {
    this.#product(path, operands.w, forwardCall(path, operands), operands.x.columns);
  }

  /** Runs work that can be shared: whole, or with threads in shares one after the other. */
  readonly sharing = {
    run: ({ kernel, bytes }: SharedWork, whole: Whole, shares: Shares): void => {
      const run = this.kernels[kernel] as (...args: number[]) => void;
      const scratch = bytes === 0 ? 0 : this.scratch(bytes);
      const cut = this.#threads > 1 ? shares(this.#threads, scratch) : [];
      for (const args of cut.length > 0 ? cut : [whole(scratch)]) run(...args);
    },
  };

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
    const before = [this.#next, this.#guards.length] as const;
    const scratch = this.scratch(bytes * this.#threads);
    this.#run(path, call, scratch, bytes);
    for (const guard of this.#guards.splice(before[1])) this.#check(guard, `${call.kernel}: `);
    this.#next = before[0];
  }

  #check({ what, at, count, times, step }: Guard, where: string): void {
    for (let i = 0; i < times; i++)
      for (let j = 0; j < count; j++)
        if (this.#words[at + i * step + j] !== CANARY)
          throw new Error(`${where}a kernel wrote outside ${what}, at word ${i * step + j} of its guard`);
  }

  /** @throws Error when a kernel wrote outside of something that was placed since the last reset */
  checkGuards(): void {
    const guards = this.#guards;
    this.#guards = [];
    for (const guard of guards) this.#check(guard, '');
  }

  /** Checks the guards, then forgets everything placed; call it between cases. */
  reset(): void {
    this.checkGuards();
    this.#next = Math.ceil((this.kernels.heapBase() >>> 0) / 16) * 16;
  }

  /** Places values on a 4-byte but not 16-byte boundary. */
  f32(data: ArrayLike<number>): number {
    return this.matrix(1, data.length, data, 0).pointer;
  }

  /** Places whole numbers. They never pass through a float: an engine may change the bits of a NaN, such as those of -100. */
  i32(data: readonly number[]): number {
    const ptr = this.f32(new Float32Array(data.length));
    this.#words.set(data, ptr / 4);
    return ptr;
  }

  /** Places [rows, cols] with `gap` words behind every row. */
  matrix(rows: number, cols: number, data: ArrayLike<number>, gap = 3): Matrix {
    const ld = cols + gap;
    const at = this.#place(`a matrix [${rows}, ${cols}]`, rows * ld, 1);
    if (gap > 0 && rows > 0) this.#guard(`the rows of a matrix [${rows}, ${cols}]`, at + cols, gap, rows, ld);
    for (let i = 0; i < rows; i++) {
      const row = at + i * ld;
      for (let j = 0; j < cols; j++) this.#floats[row + j] = data[i * cols + j]!;
    }
    return { pointer: at * 4, rows, columns: cols, stride: ld };
  }

  /** Aligned scratch of NaN. */
  scratch(bytes: number): number {
    return this.#place(`its scratch of ${bytes} bytes`, Math.ceil(bytes / 16) * 4, 0) * 4;
  }

  /** Places bytes on an even address that is no multiple of four. */
  bytes(data: Uint8Array): number {
    const words = Math.ceil((data.length + 2) / 4);
    const at = this.#place(`${data.length} bytes`, words, 0) * 4 + 2;
    this.#bytes.set(data, at);
    return at;
  }

  /** A copy of n values. */
  read(ptr: number, n: number): Float32Array {
    return this.#floats.slice(ptr / 4, ptr / 4 + n);
  }

  /** The values of a placed matrix, without its gaps. */
  values(at: Matrix): Float32Array {
    const out = new Float32Array(at.rows * at.columns);
    for (let i = 0; i < at.rows; i++) {
      const from = at.pointer / 4 + i * at.stride;
      out.set(this.#floats.subarray(from, from + at.columns), i * at.columns);
    }
    return out;
  }

  /** Whether guards and gaps of a placed matrix are as they were. */
  intact({ pointer, rows, columns: cols, stride: ld }: Matrix): boolean {
    const at = pointer / 4;
    const inside = (i: number): boolean => i >= 0 && i < rows * ld && i % ld < cols;
    for (let i = -GUARD; i < rows * ld + GUARD; i++)
      if (!inside(i) && this.#words[at + i] !== CANARY) return false;
    return true;
  }

  /** Words full of NaN, guards around them; the first is `off` words behind a 16-byte boundary. */
  #place(what: string, words: number, off: number): number {
    const start = this.#take((words + 2 * GUARD + off) * 4) / 4;
    this.#words.fill(CANARY, start, start + words + 2 * GUARD + off);
    this.#guard(what, start + off, GUARD, 2, GUARD + words);
    return start + off + GUARD;
  }

  #guard(what: string, at: number, count: number, times: number, step: number): void {
    this.#guards.push({ what, at, count, times, step });
  }

  #take(bytes: number): number {
    const start = this.#next;
    this.#next = Math.ceil((start + bytes) / 16) * 16;
    if (this.#next > this.#bytes.length) throw new RangeError('Harness: memory is full; reset first');
    return start;
  }
}
