/**
 * A compiled module of tiles with operands in its memory: whole numbers, so that every result is exact. Verifies a tile and
 * runs it; `tiles.ts` times what it gives.
 */
import { type Family, functionName, type Shape } from './shapes.js';

/** Steps of depth (packed), length of the rows (dot, stream): operands and result stay in the first-level cache. */
const LENGTH: Readonly<Record<Family, number>> = { packed: 384, dot: 768, stream: 768 };
/** Length of h and b when a dot tile is verified. */
const RANK = 8;
/** Floats from one operand to the next: more than the largest has, and no multiple of a page. */
const ROOM = 8 * 1024 + 32;
/** Floats between rows of a result, behind its columns, that a tile has to leave alone. */
const GAP = 4;
/** Bound of the operands' absolute values: sums of a few thousand products stay far below 2^24. */
const LARGEST = 4;
const SCALE = 2;

type Exports = Readonly<Record<string, (...args: number[]) => number>> & {
  readonly memory: WebAssembly.Memory;
};

/** A call's arguments, and what an element of its result has to be. */
interface Call {
  readonly args: readonly number[];
  readonly accumulate: boolean;
  readonly columns: number;
  readonly sum: (i: number, j: number) => number;
}

export class TestBed {
  readonly #exports: Exports;
  readonly #floats: Float32Array;
  /** Of the four operands and the result, in floats. */
  readonly #at: readonly number[];

  constructor(module: WebAssembly.Module) {
    const abort = (): never => {
      throw new Error('variants.wasm: abort');
    };
    this.#exports = new WebAssembly.Instance(module, { env: { abort } }).exports as unknown as Exports;
    const { memory, heapBase } = this.#exports;
    const start = Math.ceil((heapBase!() >>> 0) / 128) * 32;
    this.#at = [0, 1, 2, 3, 4].map((i) => start + i * ROOM);
    memory.grow(Math.ceil((4 * (start + 5 * ROOM)) / 65536));
    this.#floats = new Float32Array(memory.buffer);
    for (let i = start; i < start + 4 * ROOM; i++) this.#floats[i] = wholeNumber(i);
  }

  flopsOf({ family, rows, columns }: Shape): number {
    return 2 * rows * columns * LENGTH[family];
  }

  /** Calls a tile so many times in the way that most calls of the package have: see `call`. */
  run(shape: Shape, times: number): void {
    const { args } = this.#call(shape, shape.family === 'stream', 0);
    this.#exports[`${functionName(shape)}Times`]!(times, ...args);
  }

  /** @throws Error naming tile and element when a result is not exact, or the gap behind a row was written to */
  verify(shape: Shape): void {
    const calls =
      shape.family === 'dot'
        ? [0, RANK].map((rank) => this.#call(shape, false, rank))
        : [false, true].map((accumulate) => this.#call(shape, accumulate, 0));
    for (const call of calls) this.#verifyCall(shape, call);
  }

  #verifyCall(shape: Shape, { args, accumulate, columns, sum }: Call): void {
    const stride = columns + GAP;
    const start = this.#at[4]!;
    const result = this.#floats.subarray(start, start + shape.rows * stride);
    const before = (at: number): number => (accumulate && at % stride < columns ? at % 7 : Number.NaN);
    for (let at = 0; at < result.length; at++) result[at] = before(at);
    this.#exports[functionName(shape)]!(...args);
    for (let at = 0; at < result.length; at++) {
      const [i, j] = [Math.floor(at / stride), at % stride];
      const expected = j < columns ? sum(i, j) + (accumulate ? before(at) : 0) : Number.NaN;
      if (!Object.is(result[at], expected)) {
        throw new Error(
          `verify: ${functionName(shape)}: element [${i}, ${j}] is ${result[at]}, expected ${expected}`,
        );
      }
    }
  }

  #call(shape: Shape, accumulate: boolean, rank: number): Call {
    if (shape.family === 'packed') return this.#packed(shape, accumulate);
    return shape.family === 'dot' ? this.#dot(shape, rank) : this.#stream(shape, accumulate);
  }

  #packed({ rows, columns }: Shape, accumulate: boolean): Call {
    const [a, b, , , c] = this.#at;
    const depth = LENGTH.packed;
    const args = [depth, ...bytes(a!, b!, columns), Number(accumulate), ...bytes(c!, columns + GAP)];
    const sum = (i: number, j: number): number =>
      this.#sum(depth, (d) => [a! + d * rows + i, b! + d * columns + j]);
    return { args, accumulate, columns, sum };
  }

  #dot({ columns }: Shape, rank: number): Call {
    const [x, w, h, b, y] = this.#at;
    const K = LENGTH.dot;
    const args = [K, rank, ...bytes(x!, K, w!, K, h!, RANK, b!, RANK, y!, columns + GAP)];
    const sum = (i: number, j: number): number =>
      this.#sum(K, (k) => [x! + i * K + k, w! + j * K + k]) +
      this.#sum(rank, (r) => [h! + i * RANK + r, b! + j * RANK + r]);
    return { args, accumulate: false, columns, sum };
  }

  #stream({ columns }: Shape, accumulate: boolean): Call {
    const [a, b, , , c] = this.#at;
    const J = LENGTH.stream;
    const args = [J, SCALE, ...bytes(a!, columns, 1, b!, J), Number(accumulate), ...bytes(c!, J + GAP)];
    const sum = (i: number, j: number): number =>
      SCALE * this.#sum(columns, (d) => [a! + i * columns + d, b! + d * J + j]);
    return { args, accumulate, columns: J, sum };
  }

  /** Σ of so many products of two floats of memory. */
  #sum(length: number, terms: (k: number) => readonly [number, number]): number {
    let sum = 0;
    for (let k = 0; k < length; k++) {
      const [a, b] = terms(k);
      sum += this.#floats[a]! * this.#floats[b]!;
    }
    // A sum of nothing but -0 is no other number here.
    return sum + 0;
  }
}

function bytes(...floats: number[]): number[] {
  return floats.map((count) => 4 * count);
}

/** From -LARGEST to LARGEST, the same for the same place. */
function wholeNumber(at: number): number {
  return ((Math.imul(at + 1, 0x9e3779b1) >>> 16) % (2 * LARGEST + 1)) - LARGEST;
}
