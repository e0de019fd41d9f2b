/** GELU against float64, everywhere; backward of tanh and sigmoid exactly, at every size around a vector. */
import { expect, test } from 'vitest';
import { gelu, geluSlope } from '../../reference/functions.js';
import { describeBuilds } from './builds.js';

const fround = Math.fround;
const SIZES = [0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 1025];

const FORMS = [0, 1].map((approximate) => ({
  approximate,
  value: (x: number) => gelu(x, approximate === 1),
  slope: (x: number) => geluSlope(x, approximate === 1),
}));

const quarters = (n: number, seed: number): number[] =>
  Array.from({ length: n }, (_, i) => (((i * 37 + seed * 101) % 65) - 32) / 4);

describeBuilds((h) => {
  test.each(FORMS)('gelu, approximate $approximate, to 3e-7 of x', ({ approximate, value, slope }) => {
    for (const n of [...SIZES, 4001]) {
      h.reset();
      const x = Array.from({ length: n }, (_, i) => fround(20 * ((2 * i) / Math.max(n - 1, 1) - 1) ** 3));
      const dy = x.map((_, i) => (i % 5) - 2);
      const [px, pdy] = [h.f32(x), h.f32(dy)];
      const y = h.matrix(1, n, new Array<number>(n).fill(Number.NaN), 5);
      const dx = h.matrix(1, n, new Array<number>(n).fill(Number.NaN), 5);
      const added = h.matrix(1, n, new Array<number>(n).fill(1), 5);
      h.kernels.geluForward(n, approximate, px, y.pointer);
      h.kernels.geluBackward(n, approximate, px, pdy, 0, dx.pointer);
      h.kernels.geluBackward(n, approximate, px, pdy, 1, added.pointer);
      expect([y, dx, added].every((at) => h.intact(at))).toBe(true);
      const [got, first, second] = [y, dx, added].map((at) => h.values(at));
      // The largest error of each output over its bound: an expectation for every element would take most of the time.
      const worst = { gelu: 0, slope: 0, 'slope added': 0 };
      for (const [i, v] of x.entries()) {
        const size = Math.max(1, Math.abs(v));
        worst.gelu = Math.max(worst.gelu, Math.abs(got![i]! - value(v)) / (3e-7 * size));
        worst.slope = Math.max(worst.slope, Math.abs(first![i]! - dy[i]! * slope(v)) / 2e-6);
        worst['slope added'] = Math.max(worst['slope added'], Math.abs(second![i]! - 1 - first![i]!) / 5e-6);
      }
      for (const [output, ratio] of Object.entries(worst))
        expect(ratio, `${output}, n = ${n}`).toBeLessThan(1);
    }
  });

  test('gelu of the ends of the range, and of NaN', () => {
    for (const approximate of [0, 1]) {
      h.reset();
      const y = h.f32([0, 0, 0, 0, 0]);
      const x = h.f32([1e30, -1e30, 0, Number.NaN, 3e38]);
      h.kernels.geluForward(5, approximate, x, y);
      expect([...h.read(y, 5)].map((v) => v + 0)).toEqual([fround(1e30), 0, 0, Number.NaN, fround(3e38)]);
      h.kernels.geluBackward(5, approximate, x, h.f32([1, 1, 1, 1, 1]), 0, y);
      const [large, small, zero, nan] = h.read(y, 4);
      expect([large, zero, nan]).toEqual([1, 0.5, Number.NaN]);
      expect(Math.abs(small!)).toBeLessThan(1e-6);
    }
  });

  test('the exact gelu keeps its digits in the left tail', () => {
    const x = [-3, -5, -8, -12].map(fround);
    h.reset();
    const y = h.f32(x);
    h.kernels.geluForward(4, 0, y, y);
    for (const [i, v] of h.read(y, 4).entries()) {
      const wanted = gelu(x[i]!, false);
      expect(Math.abs(v / wanted - 1), `gelu(${x[i]})`).toBeLessThan(1e-5);
    }
  });

  test.each([0, 1])('backward of tanh and sigmoid, exactly; accumulate %d', (accumulate) => {
    for (const n of SIZES) {
      h.reset();
      const [y, dy, before] = [quarters(n, 1), quarters(n, 2), quarters(n, 3)];
      const [py, pdy] = [h.f32(y), h.f32(dy)];
      const [tanh, sigmoid] = [h.matrix(1, n, before, 5), h.matrix(1, n, before, 5)];
      h.kernels.tanhBackward(n, py, pdy, accumulate, tanh.pointer);
      h.kernels.sigmoidBackward(n, py, pdy, accumulate, sigmoid.pointer);
      const old = before.map((v) => accumulate * v + 0);
      expect([...h.values(tanh)].map((v) => v + 0)).toEqual(
        y.map((v, i) => old[i]! + dy[i]! * (1 - v * v) + 0),
      );
      expect([...h.values(sigmoid)].map((v) => v + 0)).toEqual(
        y.map((v, i) => old[i]! + dy[i]! * v * (1 - v) + 0),
      );
      expect(h.intact(tanh) && h.intact(sigmoid)).toBe(true);
    }
  });
});
