/** The three products of a linear layer on every path: exact on whole numbers, within (K + R + 2)·2^-23·Σ|a||b| on real ones, shares with the bits of the whole. */
import { expect, it } from 'vitest';
import {
  addProduct,
  asColumns,
  asRows,
  newSums,
  roundingBound,
  type Sums,
} from '../../reference/products.js';
import { backwardInputCall, backwardWeightCall, type Call, forwardCall } from '../../src/engine/calls.js';
import { type Matrix, NO_RANK } from '../../src/engine/operands.js';
import { planBackwardInput, planBackwardWeight, planForward } from '../../src/engine/plan.js';
import { real, whole as wholeNumbers } from '../support/numbers.js';
import { once } from '../support/once.js';
import { describeBuilds } from './builds.js';
import { type Harness, weightOperand } from './harness.js';

type Shape = readonly [M: number, N: number, K: number, R: number];
type Draw = (n: number) => number[];

const EDGES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 17, 24, 25, 33];
const SHAPES: Shape[] = [
  ...EDGES.flatMap((v): Shape[] => [
    [v, 9, 7, 3],
    [5, v, 7, 2],
    [7, 9, v, 1],
    [6, 10, 5, v],
    [65, v, 17, 4],
    [25, 8, v, 2],
  ]),
  [241, 17, 513, 5],
  [9, 241, 515, 8],
  [3, 6, 1024, 2],
  [70, 256, 256, 8],
];

/** Draws one operand after the other. */
function source(seed: number, whole: boolean): Draw {
  let next = 16 * seed;
  return (n) => (whole ? wholeNumbers(n, next++, 3) : real(n, next++));
}

/** Failing labels are collected, so that one run shows which sizes break. */
function none(failures: string[]): void {
  expect(failures.slice(0, 3), `${failures.length} failures`).toEqual([]);
}

function paths(plan: number): number[] {
  return [...new Set([plan, 4, 6, 16 + 4, 16 + 5, 16 + 6])];
}

/** A low-rank operand of placed matrices; none where the rank is 0. */
function lowOf(left: Matrix, right: Matrix, R: number) {
  return R === 0 ? NO_RANK : { left: left, right: right };
}

function near(got: Float32Array, want: Float64Array, bound: Float64Array): boolean {
  return want.every((w, i) => Math.abs(got[i]! - w) <= bound[i]!);
}

/** Kept for a shape: every path and build is held to the same sums, which take longer than the kernels. */
const byShape = <T>(make: (shape: Shape, whole: boolean) => T): ((shape: Shape, whole: boolean) => T) => {
  const kept = once((M: number, N: number, K: number, R: number, whole: boolean) =>
    make([M, N, K, R], whole),
  );
  return (shape, whole) => kept(...shape, whole);
};

const forwardCase = byShape(([M, N, K, R], whole) => {
  const draw = source(7, whole);
  const [x, w, low, b, bias] = [draw(M * K), draw(N * K), draw(M * R), draw(N * R), draw(N)];
  const sums = newSums(M * N, (i) => bias[i % N]!);
  addProduct(sums, N, K, asRows(x, K), asColumns(w, K));
  addProduct(sums, N, R, asRows(low, R), asColumns(b, R));
  const bound = sums.sizes.map((size) => roundingBound(K + R, size));
  return { x, w, low, b, bias, out: sums.values, bound };
});

function forward(h: Harness, shape: Shape, path: number, whole: boolean): boolean {
  h.reset();
  const [M, N, K, R] = shape;
  const { x, w, low, b, bias, out, bound } = forwardCase(shape, whole);
  const X = h.matrix(M, K, x);
  const W = h.matrix(N, K, w);
  const H = h.matrix(M, R, low);
  const B = h.matrix(N, R, b);
  const Y = h.matrix(M, N, new Float32Array(M * N).fill(Number.NaN));
  h.forward(path, {
    x: X,
    w: weightOperand(W),
    low: lowOf(H, B, R),
    colScale: 0,
    bias: h.f32(bias),
    y: Y,
  });
  return near(h.values(Y), out, bound) && h.intact(Y);
}

/** A gradient's old values and what they become: by overwriting (0) and by adding (1). */
function gradientCase(old: number[], { values, sizes }: Sums, terms: number) {
  const bound = (size: number): number => roundingBound(terms, size);
  const out = [values, values.map((v, i) => old[i]! + v)];
  return { old, out, bounds: [sizes.map(bound), sizes.map((s, i) => bound(Math.abs(old[i]!) + s))] };
}

/** Where a gradient goes: its old values where the kernel adds to them, else nothing that may stay. */
function place(h: Harness, rows: number, columns: number, old: number[], accumulate: 0 | 1): Matrix {
  return h.matrix(rows, columns, accumulate === 1 ? old : old.map(() => Number.NaN));
}

const inputCase = byShape(([M, N, K, R], whole) => {
  const draw = source(9, whole);
  const [dy, w, u, a, old] = [draw(M * N), draw(N * K), draw(M * R), draw(R * K), draw(M * K)];
  const sums = addProduct(newSums(M * K), K, N, asRows(dy, N), asRows(w, K));
  addProduct(sums, K, R, asRows(u, R), asRows(a, K));
  return { dy, w, u, a, ...gradientCase(old, sums, N + R) };
});

function backwardInput(h: Harness, shape: Shape, path: number, whole: boolean, accumulate: 0 | 1): boolean {
  h.reset();
  const [M, N, K, R] = shape;
  const { dy, w, u, a, old, out, bounds } = inputCase(shape, whole);
  const [DY, W, U, A] = [h.matrix(M, N, dy), h.matrix(N, K, w), h.matrix(M, R, u), h.matrix(R, K, a)];
  const DX = place(h, M, K, old, accumulate);
  const operands = { dy: DY, w: weightOperand(W), low: lowOf(U, A, R), accumulate, dx: DX };
  h.backwardInput(path, operands);
  return near(h.values(DX), out[accumulate]!, bounds[accumulate]!) && h.intact(DX);
}

const weightCase = byShape(([M, N, K], whole) => {
  const draw = source(11, whole);
  const [dy, x, old] = [draw(M * N), draw(M * K), draw(N * K)];
  const sums = addProduct(newSums(N * K), K, M, asColumns(dy, N), asRows(x, K));
  return { dy, x, ...gradientCase(old, sums, M) };
});

function backwardWeight(h: Harness, shape: Shape, path: number, whole: boolean, accumulate: 0 | 1): boolean {
  h.reset();
  const [M, N, K] = shape;
  const { dy, x, old, out, bounds } = weightCase(shape, whole);
  const [DY, X] = [h.matrix(M, N, dy), h.matrix(M, K, x)];
  const DW = place(h, N, K, old, accumulate);
  h.backwardWeight(path, { dy: DY, x: X, accumulate, dw: DW });
  return near(h.values(DW), out[accumulate]!, bounds[accumulate]!) && h.intact(DW);
}

describeBuilds((h) => {
  for (const whole of [true, false]) {
    const kind = whole ? 'whole' : 'real';
    it(`linearForward, ${kind} numbers`, () => {
      const bad: string[] = [];
      for (const s of h.some(SHAPES))
        for (const path of paths(planForward(h.level, ...s)))
          if (!forward(h, s, path, whole)) bad.push(`[${s}] path ${path}`);
      none(bad);
    });
    it(`linearBackwardInput, ${kind} numbers`, () => {
      const bad: string[] = [];
      for (const s of h.some(SHAPES))
        for (const path of [planBackwardInput(h.level, ...s), 20, 21, 22, 36, 37, 38, 48])
          for (const accumulate of [0, 1] as const)
            if (!backwardInput(h, s, path, whole, accumulate))
              bad.push(`[${s}] path ${path} accumulate ${accumulate}`);
      none(bad);
    });
    it(`linearBackwardWeight, ${kind} numbers`, () => {
      const bad: string[] = [];
      for (const s of h.some(SHAPES))
        for (const path of [planBackwardWeight(h.level, s[0], s[1], s[2]), 20, 21, 22, 48])
          for (const accumulate of [0, 1] as const)
            if (!backwardWeight(h, s, path, whole, accumulate))
              bad.push(`[${s}] path ${path} accumulate ${accumulate}`);
      none(bad);
    });
  }

  /** Whether a call's parts, cut into rows and columns at odd places, give what the whole gives. */
  const sharesAgree = (path: number, call: (to: Matrix) => Call, rows: number, columns: number): boolean => {
    const [whole, parts] = [
      h.matrix(rows, columns, new Float32Array(rows * columns)),
      h.matrix(rows, columns, new Float32Array(rows * columns).fill(Number.NaN)),
    ];
    const scratch = h.scratch(h.kernels.productScratch(path, 0, columns));
    const run = ({ kernel }: Call, args: number[]): void =>
      (h.kernels[kernel] as (...values: number[]) => void)(...args);
    run(call(whole), call(whole).whole(scratch));
    for (const [row, count] of [
      [0, 11],
      [11, rows - 11],
    ] as const)
      for (const [column, width] of [
        [0, 5],
        [5, columns - 5],
      ] as const)
        run(call(parts), call(parts).share({ row, rows: count, column, columns: width }, scratch));
    const [a, b] = [h.values(whole), h.values(parts)];
    return a.every((v, i) => Object.is(v, b[i]));
  };

  it('a share of rows and columns has the bits of the whole', () => {
    const bad: string[] = [];
    const [M, N, K, R] = [29, 23, 530, 5];
    for (const path of paths(4)) {
      h.reset();
      const draw = source(3, false);
      const [X, W, H, B] = [
        h.matrix(M, K, draw(M * K)),
        h.matrix(N, K, draw(N * K)),
        h.matrix(M, R, draw(M * R)),
        h.matrix(N, R, draw(N * R)),
      ];
      const call = (to: Matrix): Call =>
        forwardCall(path, {
          ...{ x: X, w: weightOperand(W), low: lowOf(H, B, R) },
          ...{ colScale: 0, bias: 0, y: to },
        });
      if (!sharesAgree(path, call, M, N)) bad.push(`path ${path}`);
    }
    none(bad);
  });

  it('a share of rows and columns of a gradient has the bits of the whole', () => {
    const bad: string[] = [];
    const [M, N, K, R] = [29, 31, 37, 5];
    for (const path of [20, 21, 22, 36, 37, 38, 48]) {
      h.reset();
      const draw = source(3, false);
      const [DY, W, U, A] = [
        h.matrix(M, N, draw(M * N)),
        h.matrix(N, K, draw(N * K)),
        h.matrix(M, R, draw(M * R)),
        h.matrix(R, K, draw(R * K)),
      ];
      const X = h.matrix(M, K, draw(M * K));
      const [dy, accumulate] = [DY, 0] as const;
      const input = (to: Matrix): Call =>
        backwardInputCall(path, {
          ...{ dy, w: weightOperand(W), low: lowOf(U, A, R) },
          ...{ accumulate, dx: to },
        });
      const weight = (to: Matrix): Call => backwardWeightCall(path, { dy, x: X, accumulate, dw: to });
      if (!sharesAgree(path, input, M, K)) bad.push(`linearBackwardInput, path ${path}`);
      if (!sharesAgree(path, weight, N, K)) bad.push(`linearBackwardWeight, path ${path}`);
    }
    none(bad);
  });
});
