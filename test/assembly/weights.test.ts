/**
 * Weights that are not float32: each value expands to what the type defines, bit for bit, and on every path a product has the
 * bits of the float32 product over the expanded weight, forward and backward.
 */
import { expect, test } from 'vitest';
import { gatherRows } from '../../src/engine/matrices.js';
import { weight } from '../../src/engine/operands.js';
import { once } from '../support/once.js';
import { describeBuilds } from './builds.js';
import { weightOperand } from './harness.js';
import { draw, TypedProducts } from './typed-products.js';
import { WEIGHTS, type WeightCase } from './weight-cases.js';

/** Weights in their type and expanded: made once, for every path and build. */
const weightOf = once((type: number, N: number, K: number) => {
  const { encode, decode } = WEIGHTS[type]!;
  const stride = K + 32;
  const bytes = encode(draw(N * stride, 3));
  const all = decode(bytes);
  const values = new Float32Array(N * K);
  for (let n = 0; n < N; n++) values.set(all.subarray(n * stride, n * stride + K), n * K);
  return { bytes, values, stride };
});

describeBuilds((h) => {
  const products = new TypedProducts(h);
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
      const y = products.clear(3, width);
      gatherRows(h.kernels, h.i32([2, 0, 2]), typed, y);
      const row = (n: number): number[] => [...all.slice(n * (width + 32), n * (width + 32) + width)];
      expect([...h.values(y)]).toEqual([...row(2), ...row(0), ...row(2)]);
      expect(h.intact(y)).toBe(true);
    }
  });

  test.each(WEIGHTS)('$dtype: forward has the bits of the float32 product on every path', (type) => {
    const sizes = [
      [1, 27, 32],
      [7, 25, 64],
      [9, 50, 544],
      [2, 7, 12000],
    ] as const;
    products.forward(sizes, (N, K) => place(type, N, K));
  });

  test.each(WEIGHTS)('$dtype: the gradient of the input has the bits of the float32 product', (type) => {
    const sizes = [
      [1, 33, 32],
      [3, 21, 96],
      [13, 530, 64],
    ] as const;
    products.inputGradient(sizes, (N, K) => place(type, N, K));
  });
});
