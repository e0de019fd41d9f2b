/** Element-wise kernels exactly, sums and rows within bounds, at every size around a vector and at real ones. */
import { expect, test } from 'vitest';
import {
  argmaxOf,
  crossEntropyGradient,
  crossEntropyTo,
  softmaxGradient,
  softmaxTo,
} from '../../src/engine/classes.js';
import { real, whole } from '../support/numbers.js';
import { describeBuilds } from './builds.js';
import { gradientIn, type Harness } from './harness.js';

const SIZES = [...Array.from({ length: 40 }, (_, i) => i), 67, 1023, 1024, 1025, 4099];
const fround = Math.fround;

/** Quarters from -8 to 8: sums and products of them are exact in float32. */
const quarters = (n: number, seed: number): number[] => whole(n, seed, 32).map((v) => v / 4);

type Call = (h: Harness, n: number, a: number, b: number, y: number) => void;
type Twin = (a: number, b: number, y: number) => number;

const ELEMENTWISE: Record<string, [Call, Twin]> = {
  fill: [(h, n, _a, _b, y) => h.kernels.fill(n, 2.5, y), () => 2.5],
  add: [(h, n, a, b, y) => h.kernels.add(n, a, b, y), (a, b) => a + b],
  sub: [(h, n, a, b, y) => h.kernels.sub(n, a, b, y), (a, b) => a - b],
  mul: [(h, n, a, b, y) => h.kernels.mul(n, a, b, y), (a, b) => a * b],
  scale: [(h, n, a, _b, y) => h.kernels.scale(n, -0.5, a, y), (a) => -0.5 * a],
  axpy: [(h, n, a, _b, y) => h.kernels.axpy(n, -0.5, a, y), (a, _b, y) => y - 0.5 * a],
  mulAdd: [(h, n, a, b, y) => h.kernels.mulAdd(n, 0.5, a, b, y), (a, b, y) => y + 0.5 * a * b],
  addScalar: [(h, n, _a, _b, y) => h.kernels.addScalar(n, 3, y), (_a, _b, y) => y + 3],
  'differenceScaled 0': [
    (h, n, a, b, y) => h.kernels.differenceScaled(n, 2, a, b, 0, y),
    (a, b) => 2 * (a - b),
  ],
  'differenceScaled 1': [
    (h, n, a, b, y) => h.kernels.differenceScaled(n, 2, a, b, 1, y),
    (a, b, y) => y + 2 * (a - b),
  ],
  reluForward: [(h, n, a, _b, y) => h.kernels.reluForward(n, a, y), (a) => Math.max(a, 0)],
  'reluBackward 0': [(h, n, a, b, y) => h.kernels.reluBackward(n, a, b, 0, y), (a, b) => (a > 0 ? b : 0)],
  'reluBackward 1': [
    (h, n, a, b, y) => h.kernels.reluBackward(n, a, b, 1, y),
    (a, b, y) => y + (a > 0 ? b : 0),
  ],
};

describeBuilds((h) => {
  test.each(Object.entries(ELEMENTWISE))('%s, exactly, and nothing beyond', (_, [call, twin]) => {
    const wrong: string[] = [];
    for (const n of SIZES) {
      h.reset();
      const [a, b, y] = [quarters(n, 1), quarters(n, 2), quarters(n, 3)];
      const at = h.matrix(1, n, y, 5);
      call(h, n, h.f32(a), h.f32(b), at.pointer);
      const expected = y.map((v, i) => twin(a[i]!, b[i]!, v));
      const got = h.values(at);
      if (!h.intact(at) || expected.some((v, i) => v !== got[i])) wrong.push(`n = ${n}`);
    }
    expect(wrong.slice(0, 3)).toEqual([]);
  });

  test('the output may be an input', () => {
    h.reset();
    const a = h.f32(quarters(19, 1));
    h.kernels.add(19, a, a, a);
    h.kernels.reluForward(19, a, a);
    expect([...h.read(a, 19)]).toEqual(quarters(19, 1).map((v) => Math.max(2 * v, 0)));
  });

  test('sums are exact on quarters, and bounded on others', () => {
    for (const n of SIZES) {
      h.reset();
      const [a, b] = [quarters(n, 1), quarters(n, 2)];
      const [pa, pb] = [h.f32(a), h.f32(b)];
      const total = (f: (v: number, i: number) => number): number =>
        a.reduce((sum, v, i) => sum + f(v, i), 0);
      expect(h.kernels.sum(n, pa), `n = ${n}`).toBe(total((v) => v));
      expect(h.kernels.squaredNorm(n, pa), `n = ${n}`).toBe(total((v) => v * v));
      expect(h.kernels.squaredDistance(n, pa, pb), `n = ${n}`).toBe(total((v, i) => (v - b[i]!) ** 2));
    }
    h.reset();
    const values = real(50_000, 1);
    const exact = values.reduce((sum, v) => sum + v, 0);
    const absolute = values.reduce((sum, v) => sum + Math.abs(v), 0);
    // At most 64 + 2 roundings to float32 in a block; blocks are added in float64.
    expect(Math.abs(h.kernels.sum(50_000, h.f32(values)) - exact)).toBeLessThan(68 * 2 ** -24 * absolute);
  });

  test('allFinite and argmax', () => {
    h.reset();
    const at = (values: number[]): number => h.f32(values);
    expect(h.kernels.allFinite(0, 4)).toBe(1);
    expect(h.kernels.allFinite(3, at([1, -3e38, 0]))).toBe(1);
    expect(h.kernels.allFinite(3, at([1, 2, Number.NaN]))).toBe(0);
    expect(h.kernels.allFinite(3, at([Number.NEGATIVE_INFINITY, 2, 1]))).toBe(0);
    const rows = h.matrix(4, 3, [1, 3, 3, -5, -6, -7, 1, Number.NaN, 9, 0, 0, 1]);
    const out = h.f32([0, 0, 0, 0]);
    argmaxOf(h.kernels, rows, out);
    expect([...new Int32Array(h.read(out, 4).buffer)]).toEqual([1, 0, 1, 2]);
  });

  test('softmax and cross-entropy, forward and backward, against float64', () => {
    for (const N of [1, 2, 3, 4, 5, 8, 10, 33, 257]) {
      h.reset();
      const M = 5;
      const x = real(M * N, 2, 4);
      // One row of extremes: the large ones must neither overflow nor vanish.
      for (let n = 0; n < N; n++) x[n] = n % 2 === 0 ? 1e4 : -1e4;
      const labels = Array.from({ length: M }, (_, m) => (m === 3 ? -100 : (m * 7) % N));
      const at = h.matrix(M, N, x);
      const y = h.matrix(M, N, new Array<number>(M * N).fill(Number.NaN));
      const [loss, dloss] = [h.f32(new Array<number>(M).fill(0)), h.f32([1, 2, 3, 4, 5])];
      const [dx, dxMean] = [
        h.matrix(M, N, new Array<number>(M * N).fill(Number.NaN)),
        h.matrix(M, N, new Array<number>(M * N).fill(1)),
      ];
      const from = { x: at, labels: h.i32(labels), ignoreIndex: -100 };
      softmaxTo(h.kernels, at, y);
      crossEntropyTo(h, from, loss);
      crossEntropyGradient(h, from, { scale: 1, pointer: dloss, stride: 1 }, gradientIn(dx, 0));
      crossEntropyGradient(h, from, { scale: 0.25, pointer: dloss, stride: 0 }, gradientIn(dxMean, 1));
      const [got, losses, grad, gradMean] = [h.values(y), h.read(loss, M), h.values(dx), h.values(dxMean)];
      expect([y, dx, dxMean].every((matrix) => h.intact(matrix))).toBe(true);
      for (let m = 0; m < M; m++) {
        const row = x.slice(m * N, (m + 1) * N);
        const top = Math.max(...row);
        const total = row.reduce((sum, v) => sum + Math.exp(v - top), 0);
        const label = labels[m]!;
        const wanted = label === -100 ? 0 : top + Math.log(total) - row[label]!;
        expect(Math.abs(losses[m]! - wanted)).toBeLessThanOrEqual(4e-7 * Math.max(1, Math.abs(wanted)));
        for (let n = 0; n < N; n++) {
          const p = Math.exp(row[n]! - top) / total;
          const d = label === -100 ? 0 : p - (n === label ? 1 : 0);
          expect(Math.abs(got[m * N + n]! - p)).toBeLessThan(1e-6 * p + 1e-30);
          expect(Math.abs(grad[m * N + n]! - (m + 1) * d)).toBeLessThan(2e-6 * (m + 1));
          expect(Math.abs(gradMean[m * N + n]! - 1 - 0.25 * d)).toBeLessThan(1e-6);
        }
      }
    }
  });

  test.each([
    ['tanhForward', Math.tanh],
    ['sigmoidForward', (v: number) => 1 / (1 + Math.exp(-v))],
  ] as const)('%s is right to a few units in the last place, everywhere', (name, twin) => {
    for (const n of [0, 1, 2, 3, 4, 5, 4001]) {
      h.reset();
      // From -120 to 120, denser around 0, with both ends of the range.
      const x = Array.from({ length: n }, (_, i) => fround(120 * ((2 * i) / Math.max(n - 1, 1) - 1) ** 5));
      const y = h.matrix(1, n, new Array<number>(n).fill(Number.NaN), 5);
      h.kernels[name](n, h.f32(x), y.pointer);
      expect(h.intact(y)).toBe(true);
      for (const [i, v] of h.values(y).entries()) {
        const wanted = twin(x[i]!);
        expect(Math.abs(v - wanted), `${name}(${x[i]})`).toBeLessThanOrEqual(
          8 * 2 ** -24 * Math.abs(wanted) + 1e-38,
        );
      }
    }
    h.reset();
    const y = h.f32([0]);
    h.kernels[name](1, h.f32([Number.NaN]), y);
    expect(h.read(y, 1)[0]).toBeNaN();
  });

  test('softmax backward against float64', () => {
    h.reset();
    const [M, N] = [3, 13];
    const y = real(M * N, 3, 1 / 8).map(Math.abs);
    const dy = Array.from({ length: M * N }, (_, i) => fround(Math.cos(i * 3)));
    const [yAt, dyAt, dx] = [
      h.matrix(M, N, y),
      h.matrix(M, N, dy),
      h.matrix(M, N, new Array<number>(M * N).fill(2)),
    ];
    softmaxGradient(h.kernels, yAt, dyAt, gradientIn(dx, 1));
    const got = h.values(dx);
    for (let i = 0; i < M * N; i++) {
      const m = Math.floor(i / N) * N;
      const dot = y.slice(m, m + N).reduce((sum, v, j) => sum + v * dy[m + j]!, 0);
      expect(Math.abs(got[i]! - 2 - y[i]! * (dy[i]! - dot))).toBeLessThan(1e-6);
    }
  });
});
