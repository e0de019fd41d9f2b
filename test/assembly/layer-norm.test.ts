/** Layer normalisation against float64, forward and backward, at every width around a vector and a block. */
import { expect, test } from 'vitest';
import { layerNormGamma, layerNormGradient, normalise } from '../../src/engine/matrices.js';
import { real } from '../support/numbers.js';
import { describeBuilds } from './builds.js';
import { gradientIn } from './harness.js';

const WIDTHS = [1, 2, 3, 4, 5, 7, 8, 9, 16, 31, 64, 1023, 1024, 1025];
const M = 4;
const EPS = 1e-5;

const draw = (n: number, seed: number, offset = 0): number[] =>
  real(n, seed, 2).map((v) => Math.fround(v + offset));
const filled = (n: number, value: number): number[] => new Array<number>(n).fill(value);
const mean = (values: number[]): number => values.reduce((total, v) => total + v, 0) / values.length;

describeBuilds((h) => {
  const cases = [true, false].flatMap((affine) =>
    ([0, 1] as const).map((accumulate) => ({ affine, accumulate })),
  );

  test.each(cases)('affine $affine, accumulate $accumulate', ({ affine, accumulate }) => {
    for (const N of WIDTHS) {
      h.reset();
      const [x, dy] = [draw(M * N, 1, 10), draw(M * N, 2)];
      const [gamma, beta] = [draw(N, 3, 3), draw(N, 4)];
      const [px, pdy] = [h.matrix(M, N, x), h.matrix(M, N, dy, 1)];
      const [pgamma, pbeta] = affine ? [h.f32(gamma), h.f32(beta)] : [0, 0];
      const y = h.matrix(M, N, filled(M * N, Number.NaN), 2);
      const stats = h.matrix(1, M * 2, filled(M * 2, Number.NaN), 0);
      const start = accumulate === 1 ? 1 : Number.NaN;
      const dx = h.matrix(M, N, filled(M * N, start), 5);
      const dgamma = h.matrix(1, N, filled(N, start), 4);
      normalise(h.kernels, EPS, { x: px, gamma: pgamma, beta: pbeta, y, stats: stats.pointer });
      const normalised = { x: px, stats: stats.pointer, dy: pdy };
      layerNormGradient(h.kernels, { ...normalised, gamma: pgamma }, gradientIn(dx, accumulate));
      layerNormGamma(h.kernels, normalised, { pointer: dgamma.pointer, accumulate });
      expect(
        [y, stats, dx, dgamma].every((at) => h.intact(at)),
        `N = ${N}`,
      ).toBe(true);

      const [gotY, gotDx, gotGamma] = [h.values(y), h.values(dx), h.values(dgamma)];
      const sums = filled(N, accumulate);
      // The largest error of each output over its bound: an expectation for every element would take most of the time.
      const worst = { y: 0, dx: 0, dgamma: 0 };
      for (let m = 0; m < M; m++) {
        const row = x.slice(m * N, (m + 1) * N);
        const centre = mean(row);
        const rstd = 1 / Math.sqrt(mean(row.map((v) => (v - centre) ** 2)) + EPS);
        const hat = row.map((v) => (v - centre) * rstd);
        const g = hat.map((_, n) => dy[m * N + n]! * (affine ? gamma[n]! : 1));
        const [g1, g2] = [mean(g), mean(g.map((v, n) => v * hat[n]!))];
        for (let n = 0; n < N; n++) {
          const i = m * N + n;
          sums[n]! += dy[i]! * hat[n]!;
          const wantedY = affine ? hat[n]! * gamma[n]! + beta[n]! : hat[n]!;
          // x near 10 has an error of 2^-21; rstd, above 100 in a row of one width, multiplies it.
          const bound = 4e-6 * Math.max(1, rstd) * 5;
          worst.y = Math.max(worst.y, Math.abs(gotY[i]! - wantedY) / bound);
          const wantedDx = accumulate + rstd * (g[n]! - g1 - hat[n]! * g2);
          worst.dx = Math.max(worst.dx, Math.abs(gotDx[i]! - wantedDx) / (bound * Math.max(1, rstd)));
        }
      }
      for (let n = 0; n < N; n++)
        worst.dgamma = Math.max(worst.dgamma, Math.abs(gotGamma[n]! - sums[n]!) / 5e-4);
      for (const [output, ratio] of Object.entries(worst))
        expect(ratio, `${output}, N = ${N}`).toBeLessThan(1);
    }
  });
});
