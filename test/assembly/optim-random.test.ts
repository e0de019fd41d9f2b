/** Optimiser steps against float64 twins of PyTorch's formulas; the generator against its published answers. */
import { describe, expect, test } from 'vitest';
import { maskTo, normalTo, uniformTo } from '../../src/engine/draws.js';
import { stepAdam, stepSgd } from '../../src/engine/steps.js';
import { real } from '../support/numbers.js';
import { describeBuilds } from './builds.js';

const N = 23;
const draw = (seed: number): number[] => real(N, seed);

describeBuilds((h) => {
  test.each([
    [0, 0, 0, 0],
    [0.9, 0, 0, 0.01],
    [0.9, 0.5, 0, 0],
    [0.9, 0, 1, 0.1],
  ])('SGD, momentum %d, dampening %d, nesterov %d, decay %d', (momentum, dampening, nesterov, decay) => {
    h.reset();
    let p = draw(0);
    let buffer: number[] = [];
    const at = h.matrix(1, N, p, 4);
    const buf = h.f32(new Array<number>(N).fill(Number.NaN));
    for (let step = 0; step < 6; step++) {
      const g = draw(step + 1);
      const run = { size: N, values: at.pointer, gradients: h.f32(g), step: step + 1 };
      const settings = { lr: 0.05, weightDecay: decay, momentum, dampening, nesterov: nesterov === 1 };
      stepSgd(h.kernels, { ...run, state: momentum === 0 ? [] : [buf] }, settings);
      const d = g.map((v, i) => v + decay * p[i]!);
      buffer = step === 0 ? d : buffer.map((v, i) => momentum * v + (1 - dampening) * d[i]!);
      p = p.map(
        (v, i) =>
          v - 0.05 * (momentum === 0 ? d[i]! : nesterov === 1 ? d[i]! + momentum * buffer[i]! : buffer[i]!),
      );
    }
    // Six steps of about six roundings of values near 1.
    for (const [i, v] of h.values(at).entries()) expect(Math.abs(v - p[i]!)).toBeLessThan(36 * 2 ** -24 * 2);
    expect(h.intact(at)).toBe(true);
  });

  test.each([
    [0, 0],
    [0, 0.1],
    [1, 0.1],
  ])('Adam, decoupled %d, decay %d', (decoupled, decay) => {
    h.reset();
    let p = draw(0);
    const [m, v] = [new Array<number>(N).fill(0), new Array<number>(N).fill(0)];
    const at = h.matrix(1, N, p, 4);
    const [mAt, vAt] = [h.f32(m), h.f32(v)];
    const [lr, b1, b2, eps] = [0.01, 0.8, 0.95, 1e-6];
    for (let step = 1; step <= 6; step++) {
      const g = draw(step);
      const [stepSize, root] = [lr / (1 - b1 ** step), Math.sqrt(1 - b2 ** step)];
      const run = { size: N, values: at.pointer, gradients: h.f32(g), state: [mAt, vAt], step };
      const settings = { lr, weightDecay: decay, betas: [b1, b2], eps, decoupled: decoupled === 1 } as const;
      stepAdam(h.kernels, run, settings);
      p = p.map((w, i) => {
        const d = decoupled === 1 ? g[i]! : g[i]! + decay * w;
        m[i] = b1 * m[i]! + (1 - b1) * d;
        v[i] = b2 * v[i]! + (1 - b2) * d * d;
        return (
          (decoupled === 1 ? w * (1 - lr * decay) : w) - (stepSize * m[i]!) / (Math.sqrt(v[i]!) / root + eps)
        );
      });
    }
    for (const [i, w] of h.values(at).entries()) expect(Math.abs(w - p[i]!)).toBeLessThan(60 * 2 ** -24 * 2);
    expect(h.intact(at)).toBe(true);
  });

  test('without decay an infinite parameter leaves its moments finite', () => {
    h.reset();
    const [p, g, m, v] = [Number.POSITIVE_INFINITY, 1, 0, 0].map((value) =>
      h.f32(new Array<number>(5).fill(value)),
    ) as [number, number, number, number];
    const run = { size: 5, values: p, gradients: g, state: [m, v], step: 1 };
    const settings = { lr: 0.1, weightDecay: 0 };
    stepAdam(h.kernels, run, { ...settings, betas: [0.5, 0.5], eps: 1e-8, decoupled: false });
    expect([...h.read(m, 5)]).toEqual([0.5, 0.5, 0.5, 0.5, 0.5]);
    stepSgd(h.kernels, run, { ...settings, momentum: 0.9, dampening: 0, nesterov: false });
    expect([...h.read(m, 5)]).toEqual([1, 1, 1, 1, 1]);
  });

  test('Philox gives the answers published with it', () => {
    h.reset();
    const out = h.scratch(16);
    const words = (...args: [number, number, number, number, number, number]): string[] => {
      h.kernels.philox(...args, out);
      return [...new Uint32Array(h.read(out, 4).buffer)].map((word) => word.toString(16).padStart(8, '0'));
    };
    expect(words(0, 0, 0, 0, 0, 0)).toEqual(['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']);
    expect(words(-1, -1, -1, -1, -1, -1)).toEqual(['408f276d', '41c83b0e', 'a20bc7c6', '6d5451fd']);
    expect(words(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0)).toEqual([
      'd16cfe09',
      '94fdcceb',
      '5001e420',
      '24126ea1',
    ]);
  });

  describe('draws', () => {
    const PLACE = { seedLow: 1, seedHigh: 2, stream: 3, layer: 4, step: 5 };
    const draw = (n: number, seed: number, layer = 0): Float32Array => {
      h.reset();
      const at = h.matrix(1, n, new Array<number>(n).fill(Number.NaN), 4);
      const place = { seedLow: seed, seedHigh: 0, stream: 1, layer, step: 0 };
      normalTo(h.kernels, place, 2, { size: n, pointer: at.pointer });
      expect(h.intact(at)).toBe(true);
      return h.values(at);
    };

    test('normal numbers have their moments, and a shorter draw is the beginning of a longer one', () => {
      const values = [...draw(40_000, 5)];
      const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
      const variance = values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length;
      // Five standard errors of each.
      expect(Math.abs(mean)).toBeLessThan((5 * 2) / 200);
      expect(Math.abs(variance - 4)).toBeLessThan(5 * 4 * Math.sqrt(2 / 40_000));
      for (const n of [0, 1, 2, 3, 5, 8]) expect([...draw(n, 5)]).toEqual(values.slice(0, n));
      expect([...draw(8, 6)]).not.toEqual(values.slice(0, 8));
      expect([...draw(8, 5, 1)]).not.toEqual(values.slice(0, 8));
    });

    test('uniform numbers and masks are the words of Philox, whatever the length of the draw', () => {
      const words = (count: number): number[] => {
        h.reset();
        const out = h.scratch(16);
        return Array.from({ length: count }, (_, i) => {
          if (i % 4 === 0) h.kernels.philox(i >> 2, 5, 4, 3, -1, 2, out);
          return new Uint32Array(h.read(out, 4).buffer)[i % 4]! >>> 8;
        });
      };
      const wanted = words(50);
      for (const n of [0, 1, 3, 4, 5, 15, 16, 17, 31, 32, 33, 50]) {
        h.reset();
        const [y, masked] = [1, 2].map(() => h.matrix(1, n, new Array<number>(n).fill(Number.NaN), 4));
        const place = { ...PLACE, seedLow: -1 };
        uniformTo(h.kernels, place, -3, 1, { size: n, pointer: y!.pointer });
        const x = { size: n, pointer: h.f32(new Array<number>(n).fill(3)) };
        maskTo(h.kernels, place, 0.5, x, { pointer: masked!.pointer, accumulate: 0 });
        expect([...h.values(y!)]).toEqual(wanted.slice(0, n).map((w) => Math.fround(-3 + (4 * w) / 2 ** 24)));
        expect([...h.values(masked!)]).toEqual(wanted.slice(0, n).map((w) => (w / 2 ** 24 >= 0.5 ? 6 : 0)));
        expect(h.intact(y!) && h.intact(masked!)).toBe(true);
      }
    });

    test('uniform numbers fill their range', () => {
      h.reset();
      const at = h.f32(new Array<number>(40_001).fill(Number.NaN));
      uniformTo(h.kernels, PLACE, -3, 1, { size: 40_001, pointer: at });
      const values = [...h.read(at, 40_001)];
      expect(values.every((v) => v >= -3 && v < 1)).toBe(true);
      expect(Math.abs(values.reduce((sum, v) => sum + v, 0) / values.length + 1)).toBeLessThan(
        (5 * 4) / Math.sqrt(12 * 40_001),
      );
    });

    test.each([0, 0.1, 0.5, 1])(
      'dropout %d keeps its share, scales it, and gives backward the same mask',
      (p) => {
        h.reset();
        const n = 20_003;
        const [x, y, again] = [
          h.f32(new Array<number>(n).fill(1)),
          h.f32(new Array<number>(n).fill(Number.NaN)),
          h.f32(new Array<number>(n).fill(1)),
        ];
        const from = { size: n, pointer: x };
        maskTo(h.kernels, PLACE, p, from, { pointer: y, accumulate: 0 });
        maskTo(h.kernels, PLACE, p, from, { pointer: again, accumulate: 1 });
        const values = h.read(y, n);
        const kept = values.filter((v) => v !== 0);
        expect(Math.abs(kept.length / n - (1 - p))).toBeLessThanOrEqual(5 * Math.sqrt((p * (1 - p)) / n));
        expect(kept.every((v) => v === Math.fround(1 / (1 - p)))).toBe(true);
        expect(h.read(again, n)).toEqual(values.map((v) => Math.fround(1 + v)));
      },
    );
  });
});
