/** The skinny products of a LoRA layer at every rank: x·Aᵀ, dy·B, dAᵀ and dB, held against the big product beside them. */

import type { Runtime } from 'lora-wasm';
import { matrix, NO_RANK, weight } from '../../src/engine/operands.js';
import { shapeText } from '../records.js';
import { Bench, KERNEL, type KernelCase, type Placed, type Ready, verifyElements } from './cases.js';

const RANKS = [1, 2, 3, 4, 6, 8, 16, 32, 64];
const SIZES = [
  [10, 2000, 1000],
  [64, 768, 768],
  [256, 768, 768],
  [256, 2048, 2048],
] as const;
const SCALE = 0.5;

interface Operands {
  readonly x: Placed;
  readonly dy: Placed;
  readonly a: Placed;
  readonly b: Placed;
  readonly h: Placed;
  readonly out: Placed;
}

/** One skinny product: its sizes as a product of [rows, depth] and [depth, columns], how to call it and what it must be. */
interface Skinny {
  readonly operation: string;
  readonly sizes: (
    M: number,
    N: number,
    K: number,
    R: number,
  ) => readonly [rows: number, columns: number, depth: number];
  readonly call: (rt: Runtime, o: Operands, M: number, N: number, K: number, R: number) => void;
  /** Factors of term d of element (i, j). */
  readonly term: (
    v: Record<keyof Operands, Float32Array>,
    sizes: readonly [M: number, N: number, K: number, R: number],
    i: number,
    j: number,
    d: number,
  ) => readonly [number, number];
}

const SKINNY: readonly Skinny[] = [
  {
    operation: KERNEL.down,
    sizes: (M, _N, K, R) => [M, R, K],
    call: (rt, { x, a, out }, M, _N, K, R) =>
      rt.engine.kernels.loraDown(M, K, R, x.pointer, K, a.pointer, K, out.pointer, R),
    term: ({ x, a }, [, , K], m, r, k) => [x[m * K + k]!, a[r * K + k]!],
  },
  {
    operation: KERNEL.hiddenGradient,
    sizes: (M, N, _K, R) => [M, R, N],
    call: (rt, { dy, b, out }, M, N, _K, R) =>
      rt.engine.kernels.loraBackwardHidden(
        M,
        N,
        R,
        SCALE,
        dy.pointer,
        N,
        b.pointer,
        R,
        out.pointer,
        R,
        rt.engine.scratch(4 * N * R),
      ),
    term: ({ dy, b }, [, N, , R], m, r, n) => [SCALE * dy[m * N + n]!, b[n * R + r]!],
  },
  {
    operation: KERNEL.gradA,
    sizes: (M, _N, K, R) => [R, K, M],
    call: (rt, { h, x, out }, M, _N, K, R) =>
      rt.engine.kernels.loraGradA(M, K, R, h.pointer, R, x.pointer, K, 0, out.pointer, K),
    term: ({ h, x }, [, , K, R], r, k, m) => [h[m * R + r]!, x[m * K + k]!],
  },
  {
    operation: KERNEL.gradB,
    sizes: (M, N, _K, R) => [N, R, M],
    call: (rt, { dy, h, out }, M, N, _K, R) =>
      rt.engine.kernels.loraGradB(
        M,
        N,
        R,
        SCALE,
        dy.pointer,
        N,
        h.pointer,
        R,
        0,
        out.pointer,
        R,
        rt.engine.scratch(4 * N * R),
      ),
    term: ({ dy, h }, [, N, , R], n, r, m) => [SCALE * dy[m * N + n]!, h[m * R + r]!],
  },
];

export function skinnyCases(quick: boolean): KernelCase[] {
  const sizes = quick ? SIZES.slice(0, 1) : SIZES;
  const ranks = quick ? [1, 4] : RANKS;
  return sizes.flatMap(([M, N, K]) =>
    SKINNY.flatMap((skinny) => ranks.map((R) => caseOf(skinny, M, N, K, R))),
  );
}

function caseOf(skinny: Skinny, M: number, N: number, K: number, R: number): KernelCase {
  const [rows, columns, depth] = skinny.sizes(M, N, K, R);
  return {
    group: 'skinny',
    operation: skinny.operation,
    shape: shapeText(M, N, K, R),
    flops: 2 * rows * columns * depth,
    bytes: 4 * (rows * depth + depth * columns + rows * columns),
    share: (rows * columns * depth) / (M * N * K),
    prepare: (rt) => prepare(rt, skinny, M, N, K, R),
  };
}

function prepare(
  rt: Runtime,
  { operation, sizes, call, term }: Skinny,
  M: number,
  N: number,
  K: number,
  R: number,
): Ready {
  const bench = new Bench(rt);
  const [rows, columns, depth] = sizes(M, N, K, R);
  const operands: Operands = {
    x: bench.random(M * K),
    dy: bench.random(M * N),
    a: bench.random(R * K),
    b: bench.random(N * R),
    h: bench.random(M * R),
    out: bench.empty(rows * columns),
  };
  const [w, y] = [bench.random(N * K), bench.empty(M * N)];
  const { x } = operands;
  return {
    run: () => call(rt, operands, M, N, K, R),
    beside: () =>
      rt.engine.products.forward({
        ...{ x: matrix(x.pointer, M, K), w: weight(w.pointer, N, K), low: NO_RANK },
        ...{ colScale: 0, bias: 0, y: matrix(y.pointer, M, N) },
      }),
    verify: () => {
      const values = Object.fromEntries(
        Object.entries(operands).map(([name, placed]: [string, Placed]) => [name, placed.values()]),
      ) as Record<keyof Operands, Float32Array>;
      verifyElements(operation, values.out, rows, columns, depth + 1, (i, j) => (add) => {
        for (let d = 0; d < depth; d++) add(...term(values, [M, N, K, R], i, j, d));
      });
    },
    dispose: () => bench.dispose(),
  };
}
