/** The check that results pass before they are timed: it refuses what is wrong, and bounds that would prove nothing. */
import { describe, expect, test } from 'vitest';
import { verify, verifyClose, verifyElements } from '../../reference/check.js';
import { expectForward, productSums } from '../../reference/network.js';
import { randomArray } from '../../reference/random.js';

describe('verify', () => {
  const [M, N, K] = [3, 5, 17];
  const [x, w, bias] = [randomArray(M * K, 1), randomArray(N * K, 2), randomArray(N, 3)];
  const low = { r: 2, a: randomArray(2 * K, 4), b: randomArray(N * 2, 5), scaling: 0.5 };
  const sums = productSums({ N, K, w, bias }, x);
  const expected = expectForward(sums, K, x, null);
  /** The product in float32, term by term. */
  const result = (): Float32Array =>
    Float32Array.from({ length: M * N }, (_, i) => {
      let sum = bias[i % N]!;
      for (let k = 0; k < K; k++)
        sum = Math.fround(sum + Math.fround(x[Math.floor(i / N) * K + k]! * w[(i % N) * K + k]!));
      return sum;
    });

  test('accepts the plain product', () => {
    expect(() => verify('plain', result(), expected)).not.toThrow();
  });

  test.each(Array.from({ length: M * N }, (_, i) => i))('refuses element %i off by a thousandth', (i) => {
    const y = result();
    y[i]! += 1e-3;
    expect(() => verify('plain', y, expected)).toThrow(`verify: plain: element ${i} is`);
  });

  test('refuses NaN, a wrong length and a missing low-rank part', () => {
    const y = result();
    y[4] = Number.NaN;
    expect(() => verify('plain', y, expected)).toThrow('element 4 is NaN');
    expect(() => verify('plain', new Float32Array(2), expected)).toThrow('has 2 elements, expected 15');
    expect(() => verify('fused', result(), expectForward(sums, K, x, low))).toThrow('verify: fused: element');
  });

  test('refuses bounds that would prove nothing', () => {
    const wide = { values: expected.values, bounds: new Float64Array(M * N).fill(1) };
    expect(() => verify('plain', result(), wide)).toThrow('expected at most a hundredth');
  });
});

test('gradients are held against a share of the largest', () => {
  const values = Float64Array.of(1, -2, 0.5);
  expect(() => verifyClose('dA', Float32Array.of(1, -2, 0.5001), values)).not.toThrow();
  expect(() => verifyClose('dA', Float32Array.of(1, -2, 0.51), values)).toThrow('dA: element 2 is');
});

test.each([0, 4, 5, 14])('a corner, element %i, is always among those checked', (at) => {
  const got = new Float32Array(15).fill(2);
  const sumOf = () => (add: (a: number, b: number) => void) => add(1, 2);
  const check = (): void => verifyElements('corner', got, [3, 5, 1], sumOf);
  expect(check).not.toThrow();
  got[at] = 2.001;
  expect(check).toThrow(`corner: element ${at} is`);
});

test('operands that are all zero prove nothing', () => {
  const sumOf = () => (add: (a: number, b: number) => void) => add(0, 2);
  expect(() => verifyElements('zeros', new Float32Array(4), [2, 2, 1], sumOf)).toThrow('would prove nothing');
});
