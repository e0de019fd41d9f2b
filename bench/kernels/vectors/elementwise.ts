/** Optimisers and element-wise arithmetic. */
import { DIVISION, one, type VectorKernel } from './kernel.js';

const [LR, BETA1, BETA2, EPS, DECAY] = [1e-4, 0.9, 0.999, 1e-8, 0.01] as const;

const OPTIMISERS: readonly VectorKernel[] = [
  {
    operation: 'AdamW',
    moves: 7,
    flops: 14 + 2 * DIVISION,
    squared: 3,
    run: (k, [p, g, m, v], M, N) => k.adamStep(M * N, p!, g!, m!, v!, LR, BETA1, BETA2, EPS, DECAY, 1, LR, 1),
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
    moves: 5,
    flops: 5,
    operands: (M, N) => [M * N, M * N, M * N],
    run: (k, [p, g, m], M, N) => k.sgdStep(M * N, p!, g!, m!, LR, 0.9, 0, 0, 0, 0),
    value:
      ([p, g, m], i) =>
      (add) => {
        add(1, p![i]!);
        add(-LR, 0.9 * m![i]! + g![i]!);
      },
    out: 0,
  },
];

const ARITHMETIC: readonly VectorKernel[] = [
  {
    operation: 'fill',
    moves: 1,
    flops: 0,
    run: (k, [y], _, N) => k.fill(N, 0.5, y!),
    value: () => one(0.5),
    out: 0,
  },
  {
    operation: 'add',
    moves: 3,
    flops: 1,
    run: (k, [a, b, y], _, N) => k.add(N, a!, b!, y!),
    value:
      ([a, b], i) =>
      (add) => {
        add(1, a![i]!);
        add(1, b![i]!);
      },
    out: 2,
  },
  {
    operation: 'sub',
    moves: 3,
    flops: 1,
    run: (k, [a, b, y], _, N) => k.sub(N, a!, b!, y!),
    value:
      ([a, b], i) =>
      (add) => {
        add(1, a![i]!);
        add(-1, b![i]!);
      },
    out: 2,
  },
  {
    operation: 'mul',
    moves: 3,
    flops: 1,
    run: (k, [a, b, y], _, N) => k.mul(N, a!, b!, y!),
    value:
      ([a, b], i) =>
      (add) =>
        add(a![i]!, b![i]!),
    out: 2,
  },
  {
    operation: 'scale',
    moves: 2,
    flops: 1,
    run: (k, [x, y], _, N) => k.scale(N, 0.5, x!, y!),
    value: ([x], i) => one(0.5 * x![i]!),
    out: 1,
  },
  {
    operation: 'axpy',
    moves: 3,
    flops: 2,
    operands: (M, N) => [M * N, M * N],
    run: (k, [x, y], _, N) => k.axpy(N, 0.5, x!, y!),
    value:
      ([x, y], i) =>
      (add) => {
        add(0.5, x![i]!);
        add(1, y![i]!);
      },
    out: 1,
  },
  {
    operation: 'mulAdd',
    moves: 4,
    flops: 3,
    operands: (M, N) => [M * N, M * N, M * N],
    run: (k, [a, b, y], _, N) => k.mulAdd(N, 0.5, a!, b!, y!),
    value:
      ([a, b, y], i) =>
      (add) => {
        add(0.5 * a![i]!, b![i]!);
        add(1, y![i]!);
      },
    out: 2,
  },
  {
    operation: 'addScalar',
    moves: 2,
    flops: 1,
    operands: (M, N) => [M * N],
    run: (k, [y], _, N) => k.addScalar(N, 0.25, y!),
    value:
      ([y], i) =>
      (add) => {
        add(1, y![i]!);
        add(1, 0.25);
      },
    out: 0,
  },
  {
    operation: 'differenceScaled',
    moves: 3,
    flops: 2,
    run: (k, [a, b, y], _, N) => k.differenceScaled(N, 0.5, a!, b!, 0, y!),
    value:
      ([a, b], i) =>
      (add) => {
        add(0.5, a![i]!);
        add(-0.5, b![i]!);
      },
    out: 2,
  },
  {
    operation: 'quotient',
    moves: 3,
    flops: 2 + DIVISION,
    run: (k, [a, b, y], _, N) => k.quotient(N, a!, b!, y!),
    value: ([a, b], i) => one(b![i] === 0 ? 0 : a![i]! / b![i]!),
    out: 2,
  },
];

export const ELEMENTWISE = [...OPTIMISERS, ...ARITHMETIC];
