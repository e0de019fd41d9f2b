/**
 * Weights that are not float32: each value expands to what the type defines, bit for bit, and on every path a product has the
 * bits of the float32 product over the expanded weight, forward and backward.
 */
import { expect, test } from 'vitest';
import { gatherRows } from '../../src/engine/matrices.js';
import { type Matrix, NO_RANK, weight } from '../../src/engine/operands.js';
import { real } from '../support/numbers.js';
import { once } from '../support/once.js';
import { describeBuilds, weightOperand } from './harness.js';
import { WEIGHTS, type WeightCase } from './weight-cases.js';

const RANKS = [0, 8, 64, 65];
const FORWARD = [4, 6, 16 + 4, 16 + 5, 16 + 6];
const INPUT = [16 + 4, 16 + 5, 16 + 6, 32 + 4, 32 + 5, 32 + 6, 48];

/** Numbers by count and seed, and weights in their type and expanded: made once, for every path and build. */
const draw = once((n: number, seed: number): Float32Array => Float32Array.from(real(n, seed, 2)));
const weightOf = once((type: number, N: number, K: number) => {
  const { encode, decode } = WEIGHTS[type]!;
  const stride = K + 32;
  const bytes = encode(draw(N * stride, 3));
  const all = decode(bytes);
  const values = new Float32Array(N * K);
  for (let n = 0; n < N; n++) values.set(all.subarray(n * stride, n * stride + K), n * K);
  return { bytes, values, stride };
});

/** Every pair, the second fastest. */
const pairs = <A, B>(first: readonly A[], second: readonly B[]): [A, B][] =>
  first.flatMap((a) => second.map((b): [A, B] => [a, b]));

describeBuilds((h) => {
  const sameBits = (a: Matrix, b: Matrix, what: string): void => {
    const [left, right] = [h.values(a), h.values(b)];
    const at = left.findIndex((v, i) => !Object.is(v, right[i]));
    if (at >= 0) throw new Error(`${what}: element ${at} is ${left[at]}, expected ${right[at]}`);
    expect(h.intact(a), what).toBe(true);
  };
  const clear = (rows: number, columns: number): Matrix =>
    h.matrix(rows, columns, new Float32Array(rows * columns).fill(Number.NaN));
  const ranked = (R: number, rows: number, right: [number, number]) => {
    if (R === 0) return NO_RANK;
    const left = h.matrix(rows, R, draw(rows * R, 5));
    return { left, right: h.matrix(...right, draw(right[0] * right[1], 6)) };
  };
  /** A weight of the type, with gaps behind its rows, and the same expanded. */
  const place = (type: WeightCase, N: number, K: number) => {
    const { bytes, values, stride } = weightOf(WEIGHTS.indexOf(type), N, K);
    return {
      typed: weight(h.bytes(bytes), N, K, type.dtype, stride),
      plain: weightOperand(h.matrix(N, K, values)),
    };
  };

  test.each(WEIGHTS)(
    '$dtype: every value is what the type says, bit for bit',
    ({ dtype, everything, decode }) => {
      h.reset();
      const bytes = everything();
      const wanted = decode(bytes);
      const table = h.bytes(bytes);
      const y = h.matrix(1, wanted.length, new Float32Array(wanted.length));
      gatherRows(h.kernels, h.i32([0]), weight(table, 1, wanted.length, dtype), y);
      const got = h.values(y);
      const wrong = wanted.findIndex((v, i) => !Object.is(v, got[i]));
      expect(wrong, `${got[wrong]}, expected ${wanted[wrong]}`).toBe(-1);
      expect(h.intact(y)).toBe(true);
    },
  );

  test.each(WEIGHTS)('$dtype: rows of a table by number, at every width around a vector', (type) => {
    for (const width of [1, 3, 4, 5, 31, 64]) {
      h.reset();
      const { typed } = place(type, 4, width);
      const all = type.decode(type.encode(draw(4 * (width + 32), 3)));
      const y = clear(3, width);
      gatherRows(h.kernels, h.i32([2, 0, 2]), typed, y);
      const row = (n: number): number[] => [...all.slice(n * (width + 32), n * (width + 32) + width)];
      expect([...h.values(y)]).toEqual([...row(2), ...row(0), ...row(2)]);
      expect(h.intact(y)).toBe(true);
    }
  });

  test.each(WEIGHTS)('$dtype: forward has the bits of the float32 product on every path', (type) => {
    for (const [M, N, K] of [
      [1, 27, 32],
      [7, 25, 64],
      [9, 50, 544],
      [2, 7, 12000],
    ] as const) {
      for (const [R, path] of h.some(pairs(RANKS, FORWARD))) {
        h.reset();
        const { typed, plain } = place(type, N, K);
        const x = h.matrix(M, K, draw(M * K, 1));
        const [y, wanted] = [clear(M, N), clear(M, N)];
        const rest = { x, low: ranked(R, M, [N, R]), colScale: 0, bias: h.f32(draw(N, 8)) };
        h.forward(path, { ...rest, w: plain, y: wanted });
        h.forward(path, { ...rest, w: typed, y });
        sameBits(y, wanted, `[${M}, ${N}, ${K}] R ${R} path ${path}`);
      }
    }
  });

  test.each(WEIGHTS)('$dtype: the gradient of the input has the bits of the float32 product', (type) => {
    for (const [M, N, K] of [
      [1, 33, 32],
      [3, 21, 96],
      [13, 530, 64],
    ] as const) {
      for (const [[R, path], accumulate] of h.some(pairs(pairs(RANKS, INPUT), [0, 1] as const))) {
        h.reset();
        const { typed, plain } = place(type, N, K);
        const dy = h.matrix(M, N, draw(M * N, 1));
        const [dx, wanted] = [h.matrix(M, K, draw(M * K, 2)), h.matrix(M, K, draw(M * K, 2))];
        const rest = { dy, low: ranked(R, M, [R, K]), accumulate };
        h.backwardInput(path, { ...rest, w: plain, dx: wanted });
        h.backwardInput(path, { ...rest, w: typed, dx });
        sameBits(dx, wanted, `[${M}, ${N}, ${K}] R ${R} path ${path} accumulate ${accumulate}`);
      }
    }
  });
});
