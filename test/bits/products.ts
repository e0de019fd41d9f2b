/**
 * Bits of the three products over some forty shapes and every path of the `simd` build, called on the kernels themselves: a
 * plan may move, a path's bits may not.
 */
import { readFileSync } from 'node:fs';
import type { Kernels } from '../../src/engine/abi.js';
import { backwardInputCall, backwardWeightCall, type Call, forwardCall } from '../../src/engine/calls.js';
import { matrix, weight } from '../../src/engine/operands.js';
import { Bits, draws } from './hash.js';

type Shape = readonly [M: number, N: number, K: number, R: number];

/** Around every tile and block, each with low ranks of none, below, at and above what the packed path takes along. */
const SHAPES: readonly Shape[] = [
  ...[1, 2, 3, 5, 6, 7, 11, 13, 24, 31].map((M): Shape => [M, 17, 33, 0]),
  ...[1, 2, 3, 4, 5, 6, 7, 9, 15, 16, 23].map((N): Shape => [7, N, 20, 3]),
  ...[1, 2, 3, 4, 7, 31, 32, 64, 511, 512, 513, 544, 1030, 1536].map((K): Shape => [9, 18, K, 8]),
  ...[1, 8, 64, 65].map((R): Shape => [13, 21, 40, R]),
  [310, 33, 70, 8],
  [64, 96, 576, 65],
];

const FORWARD = [4, 6, 16 + 4, 16 + 5, 16 + 6];
const INPUT = [16 + 4, 16 + 5, 16 + 6, 32 + 4, 32 + 5, 32 + 6, 48];
const WEIGHT = [16 + 4, 16 + 5, 16 + 6, 48];

const SCRATCH = 4 << 20;

/** Lays operands side by side in a memory of the kernels' own. */
class Desk {
  readonly kernels: Kernels;
  readonly #memory = new WebAssembly.Memory({ initial: 256 });
  #next = 0;

  constructor() {
    const bytes = readFileSync(new URL('../../build/simd.wasm', import.meta.url));
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
      env: { memory: this.#memory, abort: () => {} },
    });
    this.kernels = instance.exports as unknown as Kernels;
  }

  clear(): void {
    this.#next = (Math.ceil(this.kernels.heapBase() / 16) + 1) * 16 + SCRATCH;
  }

  get scratch(): number {
    return Math.ceil(this.kernels.heapBase() / 16) * 16;
  }

  put(values: Float32Array): number {
    const at = this.#next;
    new Float32Array(this.#memory.buffer, at, values.length).set(values);
    this.#next += Math.ceil(values.length / 4) * 16 + 16;
    return at;
  }

  run({ kernel, whole }: Call): void {
    (this.kernels[kernel] as (...args: number[]) => void)(...whole(this.scratch));
  }

  read(at: number, n: number): Float32Array {
    return new Float32Array(this.#memory.buffer, at, n).slice();
  }
}

/** Hashes by kernel and shape, the paths in one. */
export function productBits(): Record<string, string> {
  const desk = new Desk();
  const all: Record<string, string> = {};
  for (const shape of SHAPES) {
    all[`linearForward ${shape}`] = hashed(FORWARD, (path) => forward(desk, shape, path));
    all[`linearBackwardInput ${shape}`] = hashed(INPUT, (path) => backwardInput(desk, shape, path));
    all[`linearBackwardWeight ${shape}`] = hashed(WEIGHT, (path) => backwardWeight(desk, shape, path));
  }
  return all;
}

function hashed(paths: readonly number[], run: (path: number) => Float32Array): string {
  const bits = new Bits();
  for (const path of paths) bits.add(run(path));
  return bits.end();
}

function forward(desk: Desk, [M, N, K, R]: Shape, path: number): Float32Array {
  desk.clear();
  const draw = draws(1);
  const [x, w, h, b] = [draw(M * K), draw(N * K), draw(M * R), draw(N * R)].map((v) => desk.put(v));
  const [colScale, bias, y] = [draw(N), draw(N), new Float32Array(M * N)].map((v) => desk.put(v));
  const low = { left: matrix(h!, M, R), right: matrix(b!, N, R) };
  const out = { colScale: colScale!, bias: bias!, y: matrix(y!, M, N) };
  desk.run(forwardCall(path, { x: matrix(x!, M, K), w: weight(w!, N, K), low, ...out }));
  return desk.read(y!, M * N);
}

function backwardInput(desk: Desk, [M, N, K, R]: Shape, path: number): Float32Array {
  desk.clear();
  const draw = draws(2);
  const [dy, w, u, a, dx] = [draw(M * N), draw(N * K), draw(M * R), draw(R * K), draw(M * K)].map((v) =>
    desk.put(v),
  );
  const low = { left: matrix(u!, M, R), right: matrix(a!, R, K) };
  const out = { accumulate: 1, dx: matrix(dx!, M, K) } as const;
  desk.run(backwardInputCall(path, { dy: matrix(dy!, M, N), w: weight(w!, N, K), low, ...out }));
  return desk.read(dx!, M * K);
}

function backwardWeight(desk: Desk, [M, N, K]: Shape, path: number): Float32Array {
  desk.clear();
  const draw = draws(3);
  const [dy, x, dw] = [draw(M * N), draw(M * K), draw(N * K)].map((v) => desk.put(v));
  const out = { accumulate: 1, dw: matrix(dw!, N, K) } as const;
  desk.run(backwardWeightCall(path, { dy: matrix(dy!, M, N), x: matrix(x!, M, K), ...out }));
  return desk.read(dw!, N * K);
}
