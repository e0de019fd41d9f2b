/** The three products of a linear layer at every kind of size: many rows, few rows, one row; powers of two, odd, long. */

import type { Runtime } from 'lora-wasm';
import { matrix, weight } from '../../src/engine/operands.js';
import { shapeText } from '../records.js';
import { Bench, type Group, KERNEL, type KernelCase, type Ready, verifyElements } from './cases.js';

type Sizes = readonly [M: number, N: number, K: number];

const SQUARE = [768, 768] as const;

/** Many rows. N and K: everyday ones, powers of two (rows collide in the cache), and a vocabulary's. */
const MANY: readonly Sizes[] = [
  [64, ...SQUARE],
  [256, ...SQUARE],
  [240, 960, 768],
  [256, 1024, 1024],
  [256, 2048, 2048],
  [64, 4096, 4096],
  [64, 32000, 768],
  [64, 768, 32000],
];
const SOME: readonly Sizes[] = [9, 10, 16, 17, 31, 32, 48, 63]
  .map((M): Sizes => [M, ...SQUARE])
  .concat([
    [10, 1000, 784],
    [10, 2000, 1000],
    [16, 1024, 1024],
    [16, 4096, 4096],
  ]);
const FEW: readonly Sizes[] = [1, 2, 3, 4, 5, 6, 7, 8]
  .map((M): Sizes => [M, ...SQUARE])
  .concat([
    [1, 1024, 1024],
    [1, 2048, 2048],
    [8, 2048, 2048],
    [1, 4096, 4096],
    [2, 4096, 4096],
    [4, 4096, 4096],
    [8, 4096, 4096],
  ]);
/** Odd sizes, each with an even neighbour, whose speed it should keep. */
const ODD: readonly (readonly [Sizes, Sizes])[] = [
  [
    [71, 769, 769],
    [72, 768, 768],
  ],
  [
    [256, 769, 769],
    [256, 768, 768],
  ],
  [
    [256, 17, 768],
    [256, 16, 768],
  ],
  [
    [256, 768, 17],
    [256, 768, 16],
  ],
  [
    [256, 7, 768],
    [256, 8, 768],
  ],
  [
    [256, 768, 7],
    [256, 768, 8],
  ],
];
/** The fused low-rank term at these ranks, where the sizes are everyday ones. */
const RANKS = [8, 64];

export function productCases(quick: boolean): KernelCase[] {
  const groups: [Group, readonly Sizes[]][] = [
    ['M >= 64', MANY],
    ['M 9-63', SOME],
    ['M 1-8', FEW],
  ];
  const some = <T>(list: readonly T[]): readonly T[] => (quick ? list.slice(0, 1) : list);
  return [
    ...groups.flatMap(([group, sizes]) => some(sizes).flatMap((size) => casesOf(group, size))),
    ...some(ODD).flatMap(([odd, even]) => {
      const neighbours = casesOf('odd sizes', even);
      return casesOf('odd sizes', odd).map((one, i) => beside(one, neighbours[i]!));
    }),
  ];
}

/** The case with its neighbour's call as its limit. */
function beside(one: KernelCase, neighbour: KernelCase): KernelCase {
  const prepare = (rt: Runtime): Ready => {
    const [ready, other] = [one.prepare(rt), neighbour.prepare(rt)];
    const dispose = (): void => {
      ready.dispose();
      other.dispose();
    };
    return { ...ready, beside: other.run, dispose };
  };
  return { ...one, share: one.flops / neighbour.flops, prepare };
}

function casesOf(group: Group, [M, N, K]: Sizes): KernelCase[] {
  const ranks = N === K && N === SQUARE[0] && group === 'M >= 64' ? [0, ...RANKS] : [0];
  return [
    ...ranks.map((R) => forward(group, M, N, K, R)),
    ...ranks.map((R) => backwardInput(group, M, N, K, R)),
    backwardWeight(group, M, N, K),
  ];
}

function caseOf(
  group: Group,
  operation: string,
  [M, N, K]: Sizes,
  R: number,
  flops: number,
  prepare: KernelCase['prepare'],
): KernelCase {
  const shape = shapeText(M, N, K, R === 0 ? null : R);
  return { group, operation, shape, flops, bytes: 4 * N * K, share: null, prepare };
}

function forward(group: Group, M: number, N: number, K: number, R: number): KernelCase {
  const prepare = (rt: Runtime): Ready => {
    const bench = new Bench(rt);
    const [x, w] = [bench.random(M * K), bench.random(N * K)];
    const [h, b] = R > 0 ? [bench.random(M * R), bench.random(N * R)] : [null, null];
    const y = bench.empty(M * N);
    const low = { left: matrix(h?.pointer ?? 0, M, R), right: matrix(b?.pointer ?? 0, N, R) };
    const operands = {
      ...{ x: matrix(x.pointer, M, K), w: weight(w.pointer, N, K), low },
      ...{ colScale: 0, bias: 0, y: matrix(y.pointer, M, N) },
    };
    return {
      run: () => rt.engine.products.forward(operands),
      verify: () => {
        const [xs, ws, hs, bs] = [x.values(), w.values(), h?.values() ?? [], b?.values() ?? []];
        verifyElements(
          `${KERNEL.product} ${shapeText(M, N, K, R)}`,
          y.values(),
          M,
          N,
          K + R,
          (m, n) => (add) => {
            for (let k = 0; k < K; k++) add(xs[m * K + k]!, ws[n * K + k]!);
            for (let r = 0; r < R; r++) add(hs[m * R + r]!, bs[n * R + r]!);
          },
        );
      },
      dispose: () => bench.dispose(),
    };
  };
  const name = R > 0 ? `${KERNEL.product} with low-rank term` : KERNEL.product;
  return caseOf(group, name, [M, N, K], R, 2 * M * N * (K + R), prepare);
}

function backwardInput(group: Group, M: number, N: number, K: number, R: number): KernelCase {
  const prepare = (rt: Runtime): Ready => {
    const bench = new Bench(rt);
    const [dy, w] = [bench.random(M * N), bench.random(N * K)];
    const [u, a] = R > 0 ? [bench.random(M * R), bench.random(R * K)] : [null, null];
    const dx = bench.empty(M * K);
    const low = { left: matrix(u?.pointer ?? 0, M, R), right: matrix(a?.pointer ?? 0, R, K) };
    const operands = {
      ...{ dy: matrix(dy.pointer, M, N), w: weight(w.pointer, N, K), low },
      ...{ accumulate: 0 as const, dx: matrix(dx.pointer, M, K) },
    };
    return {
      run: () => rt.engine.products.backwardInput(operands),
      verify: () => {
        const [dys, ws, us, as] = [dy.values(), w.values(), u?.values() ?? [], a?.values() ?? []];
        verifyElements(`dx ${shapeText(M, N, K, R)}`, dx.values(), M, K, N + R, (m, k) => (add) => {
          for (let n = 0; n < N; n++) add(dys[m * N + n]!, ws[n * K + k]!);
          for (let r = 0; r < R; r++) add(us[m * R + r]!, as[r * K + k]!);
        });
      },
      dispose: () => bench.dispose(),
    };
  };
  const name = R > 0 ? `${KERNEL.inputGradient} with low-rank term` : KERNEL.inputGradient;
  return caseOf(group, name, [M, N, K], R, 2 * M * K * (N + R), prepare);
}

function backwardWeight(group: Group, M: number, N: number, K: number): KernelCase {
  const prepare = (rt: Runtime): Ready => {
    const bench = new Bench(rt);
    const [dy, x, dw] = [bench.random(M * N), bench.random(M * K), bench.empty(N * K)];
    const operands = {
      ...{ dy: matrix(dy.pointer, M, N), x: matrix(x.pointer, M, K) },
      ...{ accumulate: 0 as const, dw: matrix(dw.pointer, N, K) },
    };
    return {
      run: () => rt.engine.products.backwardWeight(operands),
      verify: () => {
        const [dys, xs] = [dy.values(), x.values()];
        verifyElements(`dW ${shapeText(M, N, K)}`, dw.values(), N, K, M, (n, k) => (add) => {
          for (let m = 0; m < M; m++) add(dys[m * N + n]!, xs[m * K + k]!);
        });
      },
      dispose: () => bench.dispose(),
    };
  };
  return caseOf(group, KERNEL.weightGradient, [M, N, K], 0, 2 * M * N * K, prepare);
}
