/**
 * The machine's ceilings by a compiled `assembly/ceiling.ts`: GFLOP/s of one thread in loops that stay in registers, fused
 * multiply-adds (relaxed SIMD) and separate multiplies and adds (plain SIMD); and GB/s of a summing loop.
 */
import type { Ceilings } from './records.js';

/** The benchmark's own modules. */
export type ModuleName = 'naive' | 'ceiling' | 'ceiling-relaxed';
/** Gives a module's bytes: every engine has a way of its own. */
export type Compiled = (name: ModuleName) => Promise<BufferSource>;

interface CeilingExports {
  readonly memory: WebAssembly.Memory;
  heapBase(): number;
  multiplyAdds(count: number, from: number, to: number): void;
  readAll(bytes: number, from: number, to: number): void;
}

export const FLOPS_A_TURN = 104;
const TURNS = 1_000_000;
const READ_BYTES = 256 * 2 ** 20;
/** `readAll` takes whole pieces of so many bytes. */
const READ_GRAIN = 128;

/** The two loops over one instance's memory, ready to be timed. */
export class Yardstick {
  readonly #exports: CeilingExports;
  readonly #at: number;
  #readable = 0;

  constructor(module: WebAssembly.Module) {
    const abort = (): never => {
      throw new Error('ceiling.wasm: abort');
    };
    this.#exports = new WebAssembly.Instance(module, { env: { abort } }).exports as unknown as CeilingExports;
    const { memory, heapBase } = this.#exports;
    this.#at = Math.ceil((heapBase() >>> 0) / READ_GRAIN) * READ_GRAIN;
    // a = 0.5 and b = 1: every chain tends to 2, far from overflow and from denormal numbers.
    new Float32Array(memory.buffer, this.#at, 16).set([
      0.5, 0.5, 0.5, 0.5, 1, 1, 1, 1, 3, 4, 5, 6, 7, 8, 9, 10,
    ]);
    // Short calls first: a call that began in the baseline compiler stays there to its end.
    for (let i = 0; i < 2000; i++) this.multiplyAdds(200);
    this.prepareRead(65536);
    for (let i = 0; i < 500; i++) this.read(65536);
  }

  /** Runs the register-only loop, `FLOPS_A_TURN` a turn. */
  multiplyAdds(turns: number): void {
    this.#exports.multiplyAdds(turns, this.#at, this.#at + 64);
  }

  /** Makes `bytes` of memory ready to be read. */
  prepareRead(bytes: number): void {
    const whole = wholeReads(bytes);
    if (whole <= this.#readable) return;
    const { memory } = this.#exports;
    const from = this.#at + READ_GRAIN;
    memory.grow(Math.max(0, Math.ceil((from + whole - memory.buffer.byteLength) / 65536)));
    new Float32Array(memory.buffer, from, whole / 4).fill(1);
    this.#readable = whole;
  }

  /** Sums `wholeReads(bytes)` of what `prepareRead` made ready. */
  read(bytes: number): void {
    this.#exports.readAll(wholeReads(bytes), this.#at + READ_GRAIN, this.#at);
  }
}

/** Bytes in whole pieces, as they are read. */
export function wholeReads(bytes: number): number {
  return Math.ceil(bytes / READ_GRAIN) * READ_GRAIN;
}

function best(calls: number, run: () => void): number {
  let shortest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < calls; i++) {
    const start = performance.now();
    run();
    shortest = Math.min(shortest, performance.now() - start);
  }
  return shortest;
}

function peakOf(module: WebAssembly.Module): number {
  const yardstick = new Yardstick(module);
  const run = (): void => yardstick.multiplyAdds(TURNS);
  best(5, run);
  return (FLOPS_A_TURN * TURNS) / best(40, run) / 1e6;
}

function readSpeedOf(module: WebAssembly.Module): number {
  const yardstick = new Yardstick(module);
  yardstick.prepareRead(READ_BYTES);
  return READ_BYTES / best(6, () => yardstick.read(READ_BYTES)) / 1e6;
}

/** Each is the best of several calls after the compiler's first ones. @param fusedElsewhere - where this engine has no relaxed SIMD */
export async function measureCeilings(
  compiled: Compiled,
  fusedElsewhere: () => number | null,
): Promise<Ceilings> {
  const plain = await WebAssembly.compile(await compiled('ceiling'));
  const relaxed = await compiled('ceiling-relaxed');
  const fused = WebAssembly.validate(relaxed) ? peakOf(await WebAssembly.compile(relaxed)) : fusedElsewhere();
  return { fused, plain: peakOf(plain), readGBs: readSpeedOf(plain) };
}

/** The larger of two measurements around the run: a ceiling that noise pushed down is none. */
export function higher(a: Ceilings, b: Ceilings): Ceilings {
  const top = (x: number | null, y: number | null): number | null =>
    x === null || y === null ? (x ?? y) : Math.max(x, y);
  return {
    fused: top(a.fused, b.fused),
    plain: Math.max(a.plain, b.plain),
    readGBs: top(a.readGBs, b.readGBs),
  };
}
