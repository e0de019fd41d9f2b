/**
 * Kernels that touch every element once, held against the speed of memory, or of arithmetic where that takes longer. Each beyond
 * every cache, and as a training step has it: within the second level.
 */
import type { Runtime } from 'lora-wasm';
import { Bench, type KernelCase, type Ready, verifyElements } from './cases.js';
import { ACTIVATIONS } from './vectors/activations.js';
import { ELEMENTWISE } from './vectors/elementwise.js';
import { numbersOf, type VectorKernel } from './vectors/kernel.js';
import { RANDOM } from './vectors/random.js';
import { REDUCTIONS } from './vectors/reductions.js';
import { ROWS } from './vectors/rows.js';

const BEYOND_CACHES = 2 ** 23;
/** 4-byte values of all operands that a second-level cache of 1 MiB holds, with room for others. */
const CACHED = 3 * 2 ** 16;
const CACHED_N = 2 ** 16;
const QUICK_N = 2 ** 12;
/** Roundings on an element's way, generously: an exponential has some dozens, a long sum's grow with the root of its length. */
const ROUNDINGS = 500;

const KERNELS: readonly VectorKernel[] = [...ELEMENTWISE, ...ACTIVATIONS, ...REDUCTIONS, ...ROWS, ...RANDOM];

export function vectorCases(quick: boolean): KernelCase[] {
  return KERNELS.flatMap((kernel) => {
    if (quick) return [caseOf(kernel, QUICK_N)];
    return [BEYOND_CACHES, kernel.moves * CACHED_N > CACHED ? CACHED_N / 2 : CACHED_N].map((n) =>
      caseOf(kernel, n),
    );
  });
}

function caseOf(kernel: VectorKernel, n: number): KernelCase {
  const { columns, moves, flops } = kernel;
  const N = columns === undefined ? n : Math.min(columns, n);
  const M = Math.floor(n / N);
  return {
    group: 'vector',
    operation: kernel.operation,
    shape: columns === undefined ? `n=${n}` : `M=${M} N=${N}`,
    flops: flops * M * N,
    bytes: 4 * moves * M * N,
    share: null,
    prepare: (rt) => prepare(rt, kernel, M, N),
  };
}

function prepare(rt: Runtime, kernel: VectorKernel, M: number, N: number): Ready {
  const { operation, moves, operands, run, value, out } = kernel;
  const { kernels } = rt.engine;
  const bench = new Bench(rt);
  const sizes = operands?.(M, N) ?? new Array<number>(Math.min(4, moves)).fill(M * N);
  const placed = sizes.map((size) => bench.random(size));
  const pointers = placed.map(({ pointer }) => pointer);
  if (kernel.squared !== undefined) {
    const p = pointers[kernel.squared]!;
    kernels.mul(sizes[kernel.squared]!, p, p, p);
  }
  if (kernel.numbers !== undefined) {
    const { operand, below } = kernel.numbers;
    // Neighbours far apart: a table's rows are not read in order.
    const numbers = Int32Array.from({ length: sizes[operand]! }, (_, i) => (i * 7919) % below(M, N));
    placed[operand]!.set(new Float32Array(numbers.buffer));
  }
  const before = placed.map((array) => array.values());
  return {
    run: () => void run(kernels, pointers, M, N),
    verify: () => {
      for (const [i, array] of placed.entries()) array.set(before[i]!);
      const result = run(kernels, pointers, M, N);
      const got = out === null ? Float32Array.of(result as number) : placed[out]!.values();
      const numbers = kernel.outNumbers ? Float32Array.from(numbersOf(got)) : got;
      verifyElements(operation, numbers, 1, got.length, ROUNDINGS, (_, i) => value(before, i, M, N));
    },
    dispose: () => bench.dispose(),
  };
}
