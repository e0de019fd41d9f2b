/** Speeds of a compiled `assembly/ceiling.ts`: GFLOP/s of register-only multiply-adds and GB/s of a summing loop. */
import type { Ceilings } from './records.js';

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

  /** Runs the register-only loop and gives the flops it did. */
  multiplyAdds(turns: number): number {
    this.#exports.multiplyAdds(turns, this.#at, this.#at + 64);
    return FLOPS_A_TURN * turns;
  }

  /** Makes `bytes` of memory ready to be read. */
  prepareRead(bytes: number): void {
    const whole = Math.ceil(bytes / READ_GRAIN) * READ_GRAIN;
    if (whole <= this.#readable) return;
    const { memory } = this.#exports;
    const from = this.#at + READ_GRAIN;
    memory.grow(Math.max(0, Math.ceil((from + whole - memory.buffer.byteLength) / 65536)));
    new Float32Array(memory.buffer, from, whole / 4).fill(1);
    this.#readable = whole;
  }

  /** Sums `bytes`, rounded up, of what `prepareRead` made ready, and gives how many those were. */
  read(bytes: number): number {
    const whole = Math.ceil(bytes / READ_GRAIN) * READ_GRAIN;
    this.#exports.readAll(whole, this.#at + READ_GRAIN, this.#at);
    return whole;
  }
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

export function peakOf(module: WebAssembly.Module): number {
  const yardstick = new Yardstick(module);
  const run = (): void => void yardstick.multiplyAdds(TURNS);
  best(5, run);
  return (FLOPS_A_TURN * TURNS) / best(40, run) / 1e6;
}

export function readSpeedOf(module: WebAssembly.Module): number {
  const yardstick = new Yardstick(module);
  yardstick.prepareRead(READ_BYTES);
  return READ_BYTES / best(6, () => void yardstick.read(READ_BYTES)) / 1e6;
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
