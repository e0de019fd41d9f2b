/** Speeds of a compiled `assembly/ceiling.ts`: GFLOP/s of register-only multiply-adds and GB/s of a summing loop. */

interface CeilingExports {
  readonly memory: WebAssembly.Memory;
  heapBase(): number;
  multiplyAdds(count: number, from: number, to: number): void;
  readAll(bytes: number, from: number, to: number): void;
}

const FLOPS_A_TURN = 96;
const TURNS = 1_000_000;
const READ_BYTES = 256 * 2 ** 20;

function instanceOf(module: WebAssembly.Module): CeilingExports {
  const abort = (): never => {
    throw new Error('ceiling.wasm: abort');
  };
  return new WebAssembly.Instance(module, { env: { abort } }).exports as unknown as CeilingExports;
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
  const { memory, heapBase, multiplyAdds } = instanceOf(module);
  const from = Math.ceil((heapBase() >>> 0) / 16) * 16;
  // a = 0.5 and b = 1: every chain tends to 2, far from overflow and from denormal numbers.
  new Float32Array(memory.buffer, from, 16).set([0.5, 0.5, 0.5, 0.5, 1, 1, 1, 1, 3, 4, 5, 6, 7, 8, 9, 10]);
  const run = (): void => multiplyAdds(TURNS, from, from + 64);
  // Short calls first: a call that began in the baseline compiler stays there to its end.
  for (let i = 0; i < 2000; i++) multiplyAdds(200, from, from + 64);
  best(5, run);
  return (FLOPS_A_TURN * TURNS) / best(40, run) / 1e6;
}

export function readSpeedOf(module: WebAssembly.Module): number {
  const { memory, heapBase, readAll } = instanceOf(module);
  const to = Math.ceil((heapBase() >>> 0) / 64) * 64;
  const from = to + 64;
  memory.grow(Math.ceil((from + READ_BYTES - memory.buffer.byteLength) / 65536));
  new Float32Array(memory.buffer, from, READ_BYTES / 4).fill(1);
  for (let i = 0; i < 500; i++) readAll(65536, from, to);
  return READ_BYTES / best(6, () => readAll(READ_BYTES, from, to)) / 1e6;
}
