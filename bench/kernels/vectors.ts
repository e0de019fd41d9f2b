/**
 * Kernels that touch every element once, held against the speed of memory, or of arithmetic where that takes longer. Each beyond
 * every cache, and as a training step has it: within the second level.
 */
import type { Runtime, Tensor } from 'lora-wasm';
import { someOf, verifyClose } from '../../reference/check.js';
import type { At } from '../../reference/rows.js';
import type { KernelCase, Ready } from './cases.js';
import { ELEMENTWISE } from './vectors/elementwise.js';
import type { Run, Value, VectorKernel } from './vectors/kernel.js';
import { REDUCTIONS } from './vectors/reductions.js';
import { ROWS } from './vectors/rows.js';

const BEYOND_CACHES = 2 ** 23;
/** 4-byte values of all operands that a second-level cache of 1 MiB holds, with room for others. */
const CACHED = 3 * 2 ** 16;
const CACHED_N = 2 ** 16;
const QUICK_N = 2 ** 12;
/** Of the largest element: what roundings may come to. The kernels' own tests hold each to a bound derived for it. */
const CLOSE = 1e-4;

export function vectorCases(quick: boolean): KernelCase[] {
  return [...ELEMENTWISE, ...REDUCTIONS, ...ROWS].flatMap((kernel) => {
    const [[, moves]] = kernel;
    const cached = moves * CACHED_N > CACHED ? CACHED_N / 2 : CACHED_N;
    return (quick ? [QUICK_N] : [BEYOND_CACHES, cached]).map((n) => caseOf(kernel, n));
  });
}

function caseOf(kernel: VectorKernel, n: number): KernelCase {
  const [[operation, moves, flops], , , more = {}] = kernel;
  const N = Math.min(more.columns ?? n, n);
  const M = Math.floor(n / N);
  return {
    ...{ group: 'vector', operation, share: null },
    shape: more.columns === undefined ? `n=${n}` : `M=${M} N=${N}`,
    flops: flops * M * N,
    bytes: 4 * moves * M * N,
    prepare: (rt) => prepare(rt, kernel, M, N),
  };
}

/** Elements of operands: `MN N 2M`; W is the wider of the two. */
function sizesOf(operands: string, M: number, N: number): number[] {
  const sizes: Readonly<Record<string, number>> = {
    M,
    N,
    W: Math.max(M, N),
    MN: M * N,
    '2M': 2 * M,
    '2N': 2 * N,
  };
  return operands.split(' ').map((name) => sizes[name]!);
}

function prepare(
  rt: Runtime,
  [[operation, moves, , out], run, value, more = {}]: VectorKernel,
  M: number,
  N: number,
): Ready {
  const { kernels } = rt.engine;
  const { squared, numbers } = more;
  const sizes = sizesOf(more.operands ?? new Array(Math.min(4, moves)).fill('MN').join(' '), M, N);
  const tensors = sizes.map((size) => rt.uniform([size], -1, 1));
  const pointers = tensors.map(({ pointer }) => pointer) as unknown as Parameters<Run>[1];
  if (squared !== undefined)
    kernels.mul(sizes[squared]!, pointers[squared]!, pointers[squared]!, pointers[squared]!);
  if (numbers !== undefined) {
    // Neighbours far apart: a table's rows are not read in order.
    const drawn = Int32Array.from(
      { length: sizes[numbers.operand]! },
      (_, i) => (i * 7919) % numbers.below(M, N),
    );
    tensors[numbers.operand]!.set(new Float32Array(drawn.buffer));
  }
  const before = tensors.map(valuesOf);
  const looks = before.map((values, i): At => {
    const seen = i === numbers?.operand ? numbersOf(values) : values;
    return (at) => seen[at]!;
  }) as unknown as Parameters<Value>[0];
  return {
    run: () => void run(kernels, pointers, N, M),
    verify: () => {
      for (const [i, tensor] of tensors.entries()) tensor.set(before[i]!);
      const result = run(kernels, pointers, N, M);
      const got = out === null ? Float32Array.of(Number(result)) : valuesOf(tensors[out]!);
      const seen = more.outNumbers ? Float32Array.from(numbersOf(got)) : got;
      const places = [...someOf(1, got.length)];
      const wanted = Float64Array.from(places, (i) => value(looks, i, N, M));
      verifyClose(
        operation,
        Float32Array.from(places, (i) => seen[i]!),
        wanted,
        more.outNumbers ? 0 : CLOSE,
      );
    },
    dispose: () => {
      for (const tensor of tensors) tensor.dispose();
    },
  };
}

/** The i32 that a Float32Array's bits are. */
function numbersOf(bits: Float32Array): Int32Array {
  return new Int32Array(bits.buffer, bits.byteOffset, bits.length);
}

function valuesOf(tensor: Tensor): Float32Array {
  return tensor.copyTo(new Float32Array(tensor.size));
}
