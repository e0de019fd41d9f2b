/**
 * Products over a weight that is not float32 beside those over the same values in float32: on every path, at every rank, with
 * the same bits. For the tests of halves and of GGUF's blocks.
 */
import { expect } from 'vitest';
import { type Matrix, NO_RANK, type Weight } from '../../src/engine/operands.js';
import { real } from '../support/numbers.js';
import { once } from '../support/once.js';
import type { Harness } from './harness.js';

const RANKS = [0, 8, 64, 65];
const FORWARD = [4, 6, 16 + 4, 16 + 5, 16 + 6];
const INPUT = [16 + 4, 16 + 5, 16 + 6, 32 + 4, 32 + 5, 32 + 6, 48];

/** Numbers by count and seed: made once, for every path and build. */
export const draw = once((n: number, seed: number): Float32Array => Float32Array.from(real(n, seed, 2)));

/** Every pair, the second fastest. */
const pairs = <A, B>(first: readonly A[], second: readonly B[]): [A, B][] =>
  first.flatMap((a) => second.map((b): [A, B] => [a, b]));

/** A weight of a type, and its values in float32. */
export interface Placed {
  readonly typed: Weight;
  readonly plain: Weight;
}

/** M, N and K of a product. */
type Sizes = readonly [M: number, N: number, K: number];

export class TypedProducts {
  readonly #h: Harness;

  constructor(h: Harness) {
    this.#h = h;
  }

  /** A matrix of NaN, so that what is not written shows. */
  clear(rows: number, columns: number): Matrix {
    return this.#h.matrix(rows, columns, new Float32Array(rows * columns).fill(Number.NaN));
  }

  sameBits(found: Matrix, wanted: Matrix, what: string): void {
    const [left, right] = [this.#h.values(found), this.#h.values(wanted)];
    const at = left.findIndex((v, i) => !Object.is(v, right[i]));
    if (at >= 0) throw new Error(`${what}: element ${at} is ${left[at]}, expected ${right[at]}`);
    expect(this.#h.intact(found), what).toBe(true);
  }

  /** @param place - puts the weight into a memory that was cleared */
  forward(sizes: readonly Sizes[], place: (N: number, K: number) => Placed): void {
    const h = this.#h;
    for (const [M, N, K] of sizes)
      for (const [R, path] of h.some(pairs(RANKS, FORWARD))) {
        h.reset();
        const { typed, plain } = place(N, K);
        const x = h.matrix(M, K, draw(M * K, 1));
        const [y, wanted] = [this.clear(M, N), this.clear(M, N)];
        const rest = { x, low: this.#ranked(R, M, [N, R]), colScale: 0, bias: h.f32(draw(N, 8)) };
        h.forward(path, { ...rest, w: plain, y: wanted });
        h.forward(path, { ...rest, w: typed, y });
        this.sameBits(y, wanted, `[${M}, ${N}, ${K}] R ${R} path ${path}`);
      }
  }

  /** As `forward`, of the gradient of the input. */
  inputGradient(sizes: readonly Sizes[], place: (N: number, K: number) => Placed): void {
    const h = this.#h;
    for (const [M, N, K] of sizes)
      for (const [[R, path], accumulate] of h.some(pairs(pairs(RANKS, INPUT), [0, 1] as const))) {
        h.reset();
        const { typed, plain } = place(N, K);
        const dy = h.matrix(M, N, draw(M * N, 1));
        const [dx, wanted] = [h.matrix(M, K, draw(M * K, 2)), h.matrix(M, K, draw(M * K, 2))];
        const rest = { dy, low: this.#ranked(R, M, [R, K]), accumulate };
        h.backwardInput(path, { ...rest, w: plain, dx: wanted });
        h.backwardInput(path, { ...rest, w: typed, dx });
        this.sameBits(dx, wanted, `[${M}, ${N}, ${K}] R ${R} path ${path} accumulate ${accumulate}`);
      }
  }

  #ranked(R: number, rows: number, right: [number, number]) {
    if (R === 0) return NO_RANK;
    const left = this.#h.matrix(rows, R, draw(rows * R, 5));
    return { left, right: this.#h.matrix(...right, draw(right[0] * right[1], 6)) };
  }
}
