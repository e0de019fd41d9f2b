/** Normalisation by root mean square, gated activation and rotary positions against float64, at every size around a vector and a block. */
import { expect, test } from 'vitest';
import {
  rmsNorm,
  rmsNormBackward,
  rotaryAngle,
  rotate,
  silu,
  siluSlope,
} from '../../reference/transformer.js';
import type { Matrix } from '../../src/engine/operands.js';
import {
  activate,
  activateGateGradient,
  activateUpGradient,
  rmsNormalise,
  rmsNormGamma,
  rmsNormGradient,
  turn,
} from '../../src/engine/transformer.js';
import { real } from '../support/numbers.js';
import { describeBuilds } from './builds.js';
import { gradientIn } from './harness.js';

const fround = Math.fround;
const draw = (n: number, seed: number, scale = 2): number[] => real(n, seed, scale).map(fround);
const filled = (n: number, value: number): number[] => new Array<number>(n).fill(value);

/** The largest distance of two arrays over a bound: an expectation for every element would take most of the time. */
function worst(got: ArrayLike<number>, wanted: ArrayLike<number>, bound: (i: number) => number): number {
  expect(got.length).toBe(wanted.length);
  let ratio = 0;
  for (let i = 0; i < got.length; i++) {
    // A NaN stays the largest.
    ratio = Math.max(ratio, Math.abs(got[i]! - wanted[i]!) / bound(i));
  }
  return ratio;
}

describeBuilds((h) => {
  test.each([0, 1] as const)('rmsNorm, accumulate %d', (accumulate) => {
    const M = 3;
    const eps = 1e-5;
    for (const N of [1, 2, 3, 4, 5, 7, 8, 9, 31, 64, 1023, 1024, 1025]) {
      h.reset();
      const [x, dy, gamma] = [draw(M * N, 1), draw(M * N, 2), draw(N, 3)];
      const [px, pdy, pgamma] = [h.matrix(M, N, x), h.matrix(M, N, dy, 1), h.f32(gamma)];
      const y = h.matrix(M, N, filled(M * N, Number.NaN), 2);
      const stats = h.matrix(1, M, filled(M, Number.NaN), 0);
      const start = accumulate === 1 ? 1 : Number.NaN;
      const dx = h.matrix(M, N, filled(M * N, start), 5);
      const dgamma = h.matrix(1, N, filled(N, start), 4);
      rmsNormalise(h, eps, { x: px, gamma: pgamma, y, stats: stats.pointer });
      const from = { x: px, stats: stats.pointer, dy: pdy };
      rmsNormGradient(h, { ...from, gamma: pgamma }, gradientIn(dx, accumulate));
      rmsNormGamma(h, from, { pointer: dgamma.pointer, accumulate });
      const wanted = rmsNorm(x, gamma, eps);
      const back = rmsNormBackward(x, gamma, eps, dy);
      const rstd = (i: number): number => Math.max(1, wanted.rstd[Math.floor(i / N)]!);
      // A few roundings of each factor; the sums of at most 1024 in four lanes of f32 add their own.
      const bound = 4e-6;
      const ratios = {
        y: worst(h.values(y), wanted.y, (i) => bound * Math.max(1, Math.abs(wanted.y[i]!))),
        rstd: worst(h.values(stats), wanted.rstd, (i) => 1e-6 * wanted.rstd[i]!),
        dx: worst(
          h.values(dx),
          back.dx.map((v) => accumulate + v),
          (i) => bound * 4 * rstd(i) ** 2,
        ),
        dgamma: worst(
          h.values(dgamma),
          back.dweight.map((v) => accumulate + v),
          () => bound * 10,
        ),
      };
      for (const [output, ratio] of Object.entries(ratios))
        expect(ratio, `${output}, N = ${N}`).toBeLessThan(1);
    }
  });

  test.each([0, 1] as const)('swiglu, accumulate %d', (accumulate) => {
    for (const n of [0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 1025]) {
      h.reset();
      const gate = Array.from({ length: n }, (_, i) => fround(30 * ((2 * i) / Math.max(n - 1, 1) - 1) ** 3));
      const [up, dy] = [draw(n, 1), draw(n, 2)];
      const [pgate, pup, pdy] = [h.f32(gate), h.f32(up), h.f32(dy)];
      const start = accumulate === 1 ? 1 : Number.NaN;
      const [y, dgate, dup] = [Number.NaN, start, start].map((v) => h.matrix(1, n, filled(n, v), 5));
      activate(h, n, { gate: pgate, up: pup }, y!.pointer);
      activateGateGradient(h, n, { gate: pgate, up: pup, dy: pdy }, gradientIn(dgate!, accumulate));
      activateUpGradient(h, n, { gate: pgate, dy: pdy }, gradientIn(dup!, accumulate));
      const size = (i: number): number => 1e-6 * Math.max(1, Math.abs(gate[i]!)) * 2;
      const ratios = {
        y: worst(
          h.values(y!),
          gate.map((v, i) => silu(v) * up[i]!),
          size,
        ),
        dgate: worst(
          h.values(dgate!),
          gate.map((v, i) => accumulate + dy[i]! * up[i]! * siluSlope(v)),
          size,
        ),
        dup: worst(
          h.values(dup!),
          gate.map((v, i) => accumulate + dy[i]! * silu(v)),
          size,
        ),
      };
      for (const [output, ratio] of Object.entries(ratios))
        expect(ratio, `${output}, n = ${n}`).toBeLessThan(1);
    }
  });

  test('swiglu at the ends of the range', () => {
    h.reset();
    const gate = [1e30, -1e30, 0, Number.NaN, -200, 200];
    const [y, slope, ones] = [0, 0, 1].map((v) => h.f32(filled(6, v)));
    h.kernels.swigluForward(6, h.f32(gate), ones!, y!);
    h.kernels.swigluBackwardGate(6, h.f32(gate), ones!, ones!, 0, slope!);
    expect([...h.read(y!, 6)].map((v) => v + 0)).toEqual([fround(1e30), 0, 0, Number.NaN, 0, 200]);
    expect([...h.read(slope!, 6)].map((v) => v + 0)).toEqual([1, 0, 0.5, Number.NaN, 0, 1]);
  });

  test('angles are right to the last digit but one, up to position 131072', () => {
    const half = 4;
    for (const { theta, length, scale, factors } of [
      { theta: 10000, length: h.asserts ? 3000 : 131073, scale: 1, factors: null },
      { theta: 5e5, length: 3000, scale: 1.25, factors: [1, 4, 8, 0.75] },
    ]) {
      h.reset();
      const [cos, sin] = [0, 0].map(() => h.matrix(length, half, filled(length * half, Number.NaN), 0));
      const own = factors === null ? 0 : h.f32(factors);
      h.kernels.rotaryTable(length, half, theta, scale, own, cos!.pointer, sin!.pointer);
      const angle = (i: number): number =>
        rotaryAngle(Math.floor(i / half), i % half, 2 * half, theta, factors?.[i % half]);
      const at = Float64Array.from({ length: length * half }, (_, i) => angle(i));
      // Half a digit of float32 of at most `scale`, and what the float64 angle itself is off by.
      const bound = (i: number): number => scale * (2 ** -24 * 1.01 + at[i]! * 2 ** -50);
      expect(
        worst(
          h.values(cos!),
          at.map((v) => scale * Math.cos(v)),
          bound,
        ),
      ).toBeLessThan(1);
      expect(
        worst(
          h.values(sin!),
          at.map((v) => scale * Math.sin(v)),
          bound,
        ),
      ).toBeLessThan(1);
    }
  });

  test.each([0, 1] as const)('rotate and back, positions given and not, accumulate %d', (accumulate) => {
    const [M, heads, length] = [5, 3, 11];
    for (const half of [1, 2, 3, 4, 5, 6, 8, 10, 32])
      for (const given of [null, [3, 10, 0, 3, 7], [4, 2]]) {
        h.reset();
        const width = heads * 2 * half;
        const [cos, sin] = [0, 0].map(() => h.matrix(length, half, filled(length * half, 0), 0));
        h.kernels.rotaryTable(length, half, 100, 1, 0, cos!.pointer, sin!.pointer);
        const x = draw(M * width, half);
        const px = h.matrix(M, width, x);
        const start = accumulate === 1 ? 1 : Number.NaN;
        const [y, back] = [2, 4].map((gap) => h.matrix(M, width, filled(M * width, start), gap));
        const period = given?.length ?? 4;
        const places = { positions: given === null ? 0 : h.i32(given), period };
        const angles = { cos: cos!.pointer, sin: sin!.pointer, length, half };
        const run = (inverse: 0 | 1, to: Matrix): void =>
          turn(h, px, angles, places, inverse, gradientIn(to, accumulate));
        run(0, y!);
        run(1, back!);
        for (const [sign, to] of [
          [1, y!],
          [-1, back!],
        ] as const) {
          const wanted = rotate(x, heads, 2 * half, (row, j) => {
            const position = given?.[row % period] ?? row % period;
            return sign * rotaryAngle(position, j, 2 * half, 100);
          });
          const ratio = worst(
            h.values(to),
            wanted.map((v) => accumulate + v),
            () => 2e-6,
          );
          expect(ratio, `half ${half}, sign ${sign}`).toBeLessThan(1);
        }
      }
  });
});
