/** Kernels that touch every element once: optimisers and element-wise ones, held against the speed of memory. */
import type { Runtime } from 'lora-wasm';
import { Bench, type KernelCase, type Placed, type Ready, type Sum, verifyElements } from './cases.js';

/** Elements: beyond every cache. */
const N = 2 ** 23;
const QUICK_N = 2 ** 14;
/** Roundings on an element's way, generously: an exponential has some dozens, a long sum's grow with the root of its length. */
const ROUNDINGS = 500;

interface Vector {
  readonly operation: string;
  /** Arrays read or written, a read-and-written one counted twice. */
  readonly arrays: number;
  readonly flops: number;
  readonly run: (rt: Runtime, n: number, p: readonly number[]) => unknown;
  /** Element i of the result as a sum of products of what the arrays held before one call. */
  readonly value: (before: readonly Float32Array[], i: number) => Sum;
  /** Which array is the result; null: the number that `run` gives. */
  readonly out: number | null;
}

const [LR, BETA1, BETA2, EPS, DECAY] = [1e-4, 0.9, 0.999, 1e-8, 0.01] as const;

const VECTORS: readonly Vector[] = [
  {
    operation: 'AdamW',
    arrays: 7,
    flops: 14,
    run: ({ engine }, n, [p, g, m, v]) =>
      engine.kernels.adamStep(n, p!, g!, m!, v!, LR, BETA1, BETA2, EPS, DECAY, 1, LR, 1),
    value:
      ([p, g, m, v], i) =>
      (add) => {
        const m1 = m![i]! + (1 - BETA1) * (g![i]! - m![i]!);
        const v1 = BETA2 * v![i]! + (1 - BETA2) * g![i]! ** 2;
        add(1 - LR * DECAY, p![i]!);
        add(-LR, m1 / (Math.sqrt(v1) + EPS));
      },
    out: 0,
  },
  {
    operation: 'SGD with momentum',
    arrays: 5,
    flops: 4,
    run: ({ engine }, n, [p, g, m]) => engine.kernels.sgdStep(n, p!, g!, m!, LR, 0.9, 0, 0, 0, 0),
    value:
      ([p, g, m], i) =>
      (add) => {
        add(1, p![i]!);
        add(-LR, 0.9 * m![i]! + g![i]!);
      },
    out: 0,
  },
  {
    operation: 'add',
    arrays: 3,
    flops: 1,
    run: ({ engine }, n, [a, b, y]) => engine.kernels.add(n, a!, b!, y!),
    value:
      ([a, b], i) =>
      (add) => {
        add(1, a![i]!);
        add(1, b![i]!);
      },
    out: 2,
  },
  {
    operation: 'axpy',
    arrays: 3,
    flops: 2,
    run: ({ engine }, n, [x, y]) => engine.kernels.axpy(n, 0.5, x!, y!),
    value:
      ([x, y], i) =>
      (add) => {
        add(0.5, x![i]!);
        add(1, y![i]!);
      },
    out: 1,
  },
  {
    operation: 'ReLU',
    arrays: 2,
    flops: 1,
    run: ({ engine }, n, [x, y]) => engine.kernels.reluForward(n, x!, y!),
    value:
      ([x], i) =>
      (add) =>
        add(1, Math.max(0, x![i]!)),
    out: 1,
  },
  {
    operation: 'ReLU backward',
    arrays: 3,
    flops: 1,
    run: ({ engine }, n, [y, dy, dx]) => engine.kernels.reluBackward(n, y!, dy!, 0, dx!),
    value:
      ([y, dy], i) =>
      (add) =>
        add(1, y![i]! > 0 ? dy![i]! : 0),
    out: 2,
  },
  {
    operation: 'GELU',
    arrays: 2,
    flops: 20,
    run: ({ engine }, n, [x, y]) => engine.kernels.geluForward(n, 1, x!, y!),
    value:
      ([x], i) =>
      (add) => {
        const v = x![i]!;
        add(0.5 * v, 1);
        add(0.5 * v, Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)));
      },
    out: 1,
  },
  {
    operation: 'squared norm',
    arrays: 1,
    flops: 2,
    run: ({ engine }, n, [x]) => engine.kernels.squaredNorm(n, x!),
    value:
      ([x]) =>
      (add) => {
        for (const v of x!) add(v, v);
      },
    out: null,
  },
];

export function vectorCases(quick: boolean): KernelCase[] {
  const n = quick ? QUICK_N : N;
  return VECTORS.map((vector) => ({
    group: 'vector',
    operation: vector.operation,
    shape: `n=${n}`,
    flops: vector.flops * n,
    bytes: 4 * vector.arrays * n,
    share: null,
    prepare: (rt) => prepare(rt, vector, n),
  }));
}

function prepare(rt: Runtime, { operation, arrays, run, value, out }: Vector, n: number): Ready {
  const bench = new Bench(rt);
  const placed: Placed[] = Array.from({ length: Math.min(4, arrays) }, () => bench.random(n));
  // AdamW's second moments are not negative.
  const last = placed.at(-1)!.pointer;
  rt.engine.kernels.mul(n, last, last, last);
  const pointers = placed.map(({ pointer }) => pointer);
  const before = placed.map((array) => array.values());
  return {
    run: () => void run(rt, n, pointers),
    verify: () => {
      for (const [i, array] of placed.entries()) array.set(before[i]!);
      const result = run(rt, n, pointers);
      const got = out === null ? Float32Array.of(result as number) : placed[out]!.values();
      verifyElements(operation, got, 1, got.length, ROUNDINGS, (_, i) => value(before, i));
    },
    dispose: () => bench.dispose(),
  };
}
