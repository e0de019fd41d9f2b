/**
 * The products of a LoRA layer. The three large ones at every kind of size: many rows, few rows, one row; powers of two, odd, long.
 * The skinny ones at every rank, held against the large product beside them.
 */
import type { Runtime } from 'lora-wasm';
import { down, gradA, gradB, hiddenGradient } from '../../src/engine/skinny.js';
import {
  BACKWARD_INPUT,
  BACKWARD_WEIGHT,
  FORWARD,
  type Product,
  placed,
  type Sizes,
  termsOf,
} from '../core/products.js';
import { shapeText } from '../core/records.js';
import type { Group, KernelCase, Ready } from './cases.js';

type Layer = readonly [M: number, N: number, K: number];

/** Many rows. N and K: everyday ones, powers of two (rows collide in the cache), and a vocabulary's. */
const MANY =
  '64x768x768 256x768x768 240x960x768 256x1024x1024 256x2048x2048 64x4096x4096 64x32000x768 64x768x32000';
const SOME =
  '9x768x768 10x768x768 16x768x768 17x768x768 31x768x768 32x768x768 48x768x768 63x768x768 10x1000x784 10x2000x1000 16x1024x1024 16x4096x4096';
const FEW =
  '1x768x768 2x768x768 3x768x768 4x768x768 5x768x768 6x768x768 7x768x768 8x768x768 1x1024x1024 1x2048x2048 8x2048x2048 1x4096x4096 2x4096x4096 4x4096x4096 8x4096x4096';
/** Odd sizes, and of each the even neighbour whose speed it should keep. */
const ODD = '71x769x769 256x769x769 256x17x768 256x768x17 256x7x768 256x768x7';
const EVEN = '72x768x768 256x768x768 256x16x768 256x768x16 256x8x768 256x768x8';
const SKINNY_SIZES = '10x2000x1000 64x768x768 256x768x768 256x2048x2048';
const SKINNY_RANKS = [1, 2, 3, 4, 6, 8, 16, 32, 64];
/** The fused low-rank term at these ranks, where the sizes are everyday ones. */
const RANKS = [8, 64];
const SCALE = 0.5;

function sizesOf(text: string, quick: boolean): Layer[] {
  const all = text.split(' ').map((sizes) => sizes.split('x').map(Number) as [number, number, number]);
  return quick ? all.slice(0, 1) : all;
}

const SKINNY: readonly Product[] = [
  {
    operation: 'x·Aᵀ',
    sum: [['x', 'aᵀ']],
    run: ({ engine }, { x, a, out }) => down(engine, { x, a, h: out }),
  },
  {
    operation: 'dy·B',
    sum: [['dy', 'b']],
    scale: SCALE,
    run: ({ engine }, { dy, b, out }) => hiddenGradient(engine, { s: SCALE, dy, b, u: out }),
  },
  {
    operation: 'dA',
    sum: [['hᵀ', 'x']],
    run: ({ engine }, { h, x, out }) => gradA(engine, { u: h, x, da: { ...out, accumulate: 0 } }),
  },
  {
    operation: 'dB',
    sum: [['dyᵀ', 'h']],
    scale: SCALE,
    run: ({ engine }, { dy, h, out }) => gradB(engine, { s: SCALE, dy, h, db: { ...out, accumulate: 0 } }),
  },
];

export function productCases(quick: boolean): KernelCase[] {
  const groups: [Group, string][] = [
    ['M >= 64', MANY],
    ['M 9-63', SOME],
    ['M 1-8', FEW],
  ];
  return [
    ...groups.flatMap(([group, text]) => sizesOf(text, quick).flatMap((sizes) => largeCases(group, sizes))),
    ...sizesOf(ODD, quick).flatMap((odd, at) => {
      const neighbours = largeCases('odd sizes', sizesOf(EVEN, false)[at]!);
      return largeCases('odd sizes', odd).map((one, i) => beside(one, neighbours[i]!));
    }),
    ...sizesOf(SKINNY_SIZES, quick).flatMap((sizes) =>
      SKINNY.flatMap((product) =>
        (quick ? [1, 4] : SKINNY_RANKS).map((R) =>
          beside(caseOf('skinny', product, sizes, R), caseOf('M >= 64', FORWARD, sizes, 0)),
        ),
      ),
    ),
  ];
}

function largeCases(group: Group, sizes: Layer): KernelCase[] {
  const [, N, K] = sizes;
  const ranks = N === 768 && K === 768 && group === 'M >= 64' ? [0, ...RANKS] : [0];
  return [
    ...[FORWARD, BACKWARD_INPUT].flatMap((product) => ranks.map((R) => caseOf(group, product, sizes, R))),
    caseOf(group, BACKWARD_WEIGHT, sizes, 0),
  ];
}

/** The case with another's call beside it, which its time is held against. */
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

function caseOf(group: Group, product: Product, layer: Layer, R: number): KernelCase {
  const sizes: Sizes = [...layer, R];
  const [M, N, K] = layer;
  const { rows, columns, depth } = termsOf(product, sizes);
  const moved = 4 * (rows * depth + depth * columns + rows * columns);
  return {
    group,
    operation:
      product.sum.length > 1 && R > 0 ? `${product.operation} with low-rank term` : product.operation,
    shape: shapeText(M, N, K, R === 0 ? null : R),
    flops: 2 * rows * columns * depth,
    bytes: group === 'skinny' ? moved : 4 * N * K,
    share: null,
    prepare: (rt) => placed(rt, product, sizes),
  };
}
