/**
 * The skinny products of a LoRA layer and the merge with whole numbers, whose results are exact in float32: sizes below, at
 * and above every tile, with 0 and 1. Outputs start as NaN when they are overwritten; stride gaps must stay NaN.
 */
import { expect, it } from 'vitest';
import { addProduct, asColumns, asRows, newSums, type View } from '../../reference/products.js';
import { addProduct as addLora, scaleTo } from '../../src/engine/matrices.js';
import type { Matrix } from '../../src/engine/operands.js';
import { down, gradA, gradB, hiddenGradient } from '../../src/engine/skinny.js';
import { whole } from '../support/numbers.js';
import { describeBuilds } from './builds.js';
import { gradientIn } from './harness.js';

const SIZES = [0, 1, 2, 3, 4, 5, 7, 8, 9, 17, 31, 32, 33, 37];
const RANKS = [0, 1, 2, 3, 4, 6, 7, 8, 9, 16, 33];
const SHAPES = SIZES.flatMap((v) => RANKS.flatMap((R) => [[v, 9, R] as const, [5, v, R] as const]));
const SCALE = 0.5;

const draw = (n: number, seed: number): number[] => whole(n, seed, 3);

/** s·a·b added to `start`, of so many columns. */
function product(columns: number, depth: number, s: number, a: View, b: View, start: readonly number[]) {
  const sums = newSums(start.length, (i) => start[i]!);
  return addProduct(sums, columns, depth, a, b, s).values;
}

describeBuilds((h) => {
  const holds = (at: Matrix, want: ArrayLike<number>): boolean => {
    const got = h.values(at);
    return got.every((v, i) => v === want[i]) && got.length === want.length && h.intact(at);
  };

  it('loraDown, loraScaleB, loraBackwardHidden', () => {
    const bad: string[] = [];
    for (const [M, K, R] of h.some(SHAPES)) {
      h.reset();
      const [x, a, b] = [draw(M * K, 1), draw(R * K, 2), draw(K * R, 3)];
      const [X, A, B] = [h.matrix(M, K, x), h.matrix(R, K, a), h.matrix(K, R, b)];
      const empty = (rows: number, cols: number): Matrix =>
        h.matrix(rows, cols, new Float32Array(rows * cols).fill(Number.NaN));
      const [H, S, U] = [empty(M, R), empty(K, R), empty(M, R)];
      down(h, { x: X, a: A, h: H });
      scaleTo(h.kernels, SCALE, B, S);
      hiddenGradient(h, { s: SCALE, dy: X, b: B, u: U });
      const zero = draw(M * R, 0).map(() => 0);
      if (!holds(H, product(R, K, 1, asRows(x, K), asColumns(a, K), zero)))
        bad.push(`down [${M}, ${K}, ${R}]`);
      const scaled = b.map((v) => SCALE * v);
      if (!holds(S, scaled)) bad.push(`scaleB [${K}, ${R}]`);
      if (!holds(U, product(R, K, SCALE, asRows(x, K), asRows(b, R), zero)))
        bad.push(`hidden [${M}, ${K}, ${R}]`);
    }
    expect(bad.slice(0, 3), `${bad.length} failures`).toEqual([]);
  });

  it('loraGradA, loraGradB', () => {
    const bad: string[] = [];
    for (const [M, K, R] of h.some(SHAPES))
      for (const accumulate of [0, 1] as const)
        for (const gap of [0, 3]) {
          h.reset();
          const [u, x, old] = [draw(M * R, 1), draw(M * K, 2), draw(K * R, 3)];
          const [U, X] = [h.matrix(M, R, u), h.matrix(M, K, x)];
          const before = accumulate ? old : old.map(() => Number.NaN);
          const [DA, DB] = [h.matrix(R, K, before, gap), h.matrix(K, R, before, gap)];
          gradA(h, { u: U, x: X, da: gradientIn(DA, accumulate) });
          gradB(h, { s: SCALE, dy: X, h: U, db: gradientIn(DB, accumulate) });
          const start = accumulate ? old : old.map(() => 0);
          const label = `[${M}, ${K}, ${R}] accumulate ${accumulate} gap ${gap}`;
          if (!holds(DA, product(K, M, 1, asColumns(u, R), asRows(x, K), start))) bad.push(`gradA ${label}`);
          if (!holds(DB, product(R, M, SCALE, asColumns(x, K), asRows(u, R), start)))
            bad.push(`gradB ${label}`);
        }
    expect(bad.slice(0, 3), `${bad.length} failures`).toEqual([]);
  });

  it('loraMerge: beside w, in place, and the delta alone', () => {
    const bad: string[] = [];
    for (const [N, K, R] of h.some(SHAPES))
      for (const way of ['beside', 'in place', 'delta']) {
        h.reset();
        const [b, a, w] = [draw(N * R, 1), draw(R * K, 2), draw(N * K, 3)];
        const [B, A, W] = [h.matrix(N, R, b), h.matrix(R, K, a), h.matrix(N, K, w)];
        const fresh = w.map(() => Number.NaN);
        const out = way === 'in place' ? W : h.matrix(N, K, fresh, 1);
        addLora(h.kernels, { s: SCALE, b: B, a: A, w: way === 'delta' ? null : W, out });
        const start = way === 'delta' ? w.map(() => 0) : w;
        if (!holds(out, product(K, R, SCALE, asRows(b, R), asRows(a, K), start)))
          bad.push(`${way} [${N}, ${K}, ${R}]`);
      }
    expect(bad.slice(0, 3), `${bad.length} failures`).toEqual([]);
  });
});
