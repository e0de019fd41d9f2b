/** Kernels over rows at every width around a vector: NaN and infinity at each place, softmax's backward, means, windows of a pool. */
import { expect, test } from 'vitest';
import { argmaxOf, softmaxGradient, softmaxTo } from '../../src/engine/classes.js';
import { matrix } from '../../src/engine/operands.js';
import { maxPoolGradient, maxPoolTo, type Windows } from '../../src/engine/windows.js';
import { whole as wholeNumbers } from '../support/numbers.js';
import { describeBuilds } from './builds.js';
import { gradientIn } from './harness.js';

const WIDTHS = [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 33];
const whole = (n: number, seed: number): number[] => wholeNumbers(n, seed, 4);
const filled = (n: number, value: number): number[] => new Array<number>(n).fill(value);

describeBuilds((h) => {
  test('allFinite finds NaN and both infinities at every place, and nothing beyond the end', () => {
    for (const n of WIDTHS) {
      h.reset();
      const values = whole(n, 1);
      expect(h.kernels.allFinite(n, h.f32(values)), `n = ${n}`).toBe(1);
      for (let i = 0; i < n; i++) {
        for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
          const at = h.f32(values.map((v, j) => (j === i ? bad : v)));
          expect(h.kernels.allFinite(n, at), `${bad} at ${i} of ${n}`).toBe(0);
        }
      }
    }
  });

  test('argmax finds the first of equals, and the first NaN, at every place', () => {
    for (const n of WIDTHS) {
      const found = (values: number[]): number => {
        h.reset();
        const out = h.f32([0]);
        argmaxOf(h.kernels, matrix(h.f32(values), 1, n), out);
        return new Int32Array(h.read(out, 1).buffer)[0]!;
      };
      expect(found(filled(n, Number.NEGATIVE_INFINITY)), `all -infinity, n = ${n}`).toBe(0);
      for (let i = 0; i < n; i++) {
        for (const [top, low] of [
          [2, -3],
          [-3, Number.NEGATIVE_INFINITY],
          [Number.POSITIVE_INFINITY, 5],
          [Number.NaN, Number.POSITIVE_INFINITY],
        ] as const) {
          const from = filled(n, low).map((v, j) => (j >= i ? top : v));
          expect(found(from), `${top} from ${i} of ${n} on`).toBe(i);
          expect(found(filled(n, low).map((v, j) => (j === i ? top : v)))).toBe(i);
        }
      }
    }
  });

  test('softmax takes off the largest element wherever it is, and gives NaN for NaN', () => {
    for (const n of WIDTHS) {
      for (let i = 0; i < n; i++) {
        h.reset();
        const x = h.f32(filled(n, -200).map((v, j) => (j === i ? 1000 : v)));
        const y = h.matrix(1, n, filled(n, Number.NaN), 4);
        softmaxTo(h.kernels, matrix(x, 1, n), y);
        expect([...h.values(y)], `top at ${i} of ${n}`).toEqual(
          filled(n, 0).map((v, j) => (j === i ? 1 : v)),
        );
        const nan = h.f32(filled(n, 1).map((v, j) => (j === i ? Number.NaN : v)));
        softmaxTo(h.kernels, matrix(nan, 1, n), y);
        expect([...h.values(y)].every(Number.isNaN), `NaN at ${i} of ${n}`).toBe(true);
        expect(h.intact(y)).toBe(true);
      }
    }
  });

  test.each([0, 1] as const)('softmaxBackward, exactly on whole numbers; accumulate %d', (accumulate) => {
    for (const N of WIDTHS) {
      h.reset();
      const M = 3;
      const [y, dy] = [whole(M * N, 1), whole(M * N, 2)];
      const [py, pdy] = [h.matrix(M, N, y), h.matrix(M, N, dy, 1)];
      const dx = h.matrix(M, N, filled(M * N, accumulate === 1 ? 5 : Number.NaN), 2);
      softmaxGradient(h.kernels, py, pdy, gradientIn(dx, accumulate));
      const wanted = y.map((v, i) => {
        const m = Math.floor(i / N) * N;
        let dot = 0;
        for (let n = m; n < m + N; n++) dot += y[n]! * dy[n]!;
        return 5 * accumulate + v * (dy[i]! - dot) + 0;
      });
      expect(
        [...h.values(dx)].map((v) => v + 0),
        `N = ${N}`,
      ).toEqual(wanted);
      expect(h.intact(dx)).toBe(true);
    }
  });

  test('sumMiddle and spreadMiddle, exactly, and nothing beyond', () => {
    for (const inner of WIDTHS) {
      for (const n of [1, 2, 5, 1024, 1025]) {
        h.reset();
        const outer = 2;
        const [x, dy] = [whole(outer * n * inner, 1), whole(outer * inner, 2)];
        const y = h.matrix(1, outer * inner, filled(outer * inner, Number.NaN));
        h.kernels.sumMiddle(outer, n, inner, 0.5, h.f32(x), y.pointer);
        const wanted = filled(outer * inner, 0);
        for (const [i, v] of x.entries()) wanted[Math.floor(i / (n * inner)) * inner + (i % inner)]! += v / 2;
        expect([...h.values(y)], `n ${n} inner ${inner}`).toEqual(wanted);
        const from = h.f32(dy);
        const [fresh, added] = [
          h.matrix(1, x.length, filled(x.length, Number.NaN)),
          h.matrix(1, x.length, x),
        ];
        h.kernels.spreadMiddle(outer, n, inner, 0.5, from, 0, fresh.pointer);
        h.kernels.spreadMiddle(outer, n, inner, 0.5, from, 1, added.pointer);
        const share = (i: number): number => dy[Math.floor(i / (n * inner)) * inner + (i % inner)]! / 2;
        expect([...h.values(fresh)].every((v, i) => v === share(i))).toBe(true);
        expect([...h.values(added)].every((v, i) => v === x[i]! + share(i))).toBe(true);
        expect([y, fresh, added].every((at) => h.intact(at))).toBe(true);
      }
    }
  });

  test('maxPool2d writes its outputs and nothing beyond; a window with nothing inside has no place', () => {
    h.reset();
    // Two planes of 2x2; windows of two, three apart, from one before the edge: at -1 and 2, both outside.
    const x = h.f32([1, 2, 3, 4, 8, 7, 6, 5]);
    const plane = { C: 2, H: 2, W: 2, KH: 2, KW: 2, OH: 1, OW: 1 };
    const [y, indices] = [h.matrix(1, 2, [0, 0]), h.matrix(1, 2, [0, 0])];
    const at = { y: y.pointer, indices: indices.pointer };
    const apart: Windows = { ...plane, stride: [1, 1], padding: [1, 1], dilation: [3, 3] };
    maxPoolTo(h.kernels, apart, { ...at, x });
    expect([...h.values(y)]).toEqual([Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]);
    expect([...new Int32Array(h.values(indices).buffer)]).toEqual([-1, -1]);
    const dx = h.matrix(1, 8, whole(8, 3));
    const back = { indices: indices.pointer, dx: dx.pointer };
    maxPoolGradient(h.kernels, apart, { ...back, dy: h.f32([9, 9]) });
    expect([...h.values(dx)]).toEqual(whole(8, 3));
    const together: Windows = { ...plane, stride: [2, 2], padding: [0, 0], dilation: [1, 1] };
    maxPoolTo(h.kernels, together, { ...at, x });
    expect([...h.values(y)]).toEqual([4, 8]);
    maxPoolGradient(h.kernels, together, { ...back, dy: h.f32([10, 20]) });
    expect([...h.values(dx)]).toEqual(whole(8, 3).map((v, i) => v + (i === 3 ? 10 : i === 4 ? 20 : 0)));
    expect([y, indices, dx].every((at) => h.intact(at))).toBe(true);
  });
});
