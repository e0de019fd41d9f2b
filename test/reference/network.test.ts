/** The float64 twin of a training step, held against central differences of its own loss. */
import { expect, test } from 'vitest';
import {
  crossEntropyGradient,
  squaredErrorGradient,
  type TwinLayer,
  twinGradients,
} from '../../reference/network.js';
import { randomArray } from '../../reference/random.js';

const M = 3;
const layer = (N: number, K: number, seed: number): TwinLayer => {
  const low = { r: 2, a: randomArray(2 * K, seed), b: randomArray(N * 2, seed + 1), scaling: 1.5 };
  return { N, K, w: randomArray(N * K, seed + 2), bias: randomArray(N, seed + 3), low };
};
const layers = [layer(6, 5, 10), layer(4, 6, 20)];
const x = randomArray(M * 5, 30);
const labels = Int32Array.of(2, 0, 3);
const target = randomArray(M * 4, 31);

const LOSSES = {
  'cross-entropy': {
    gradient: crossEntropyGradient(labels, 4),
    of: (y: Float64Array): number =>
      labels.reduce((total, label, m) => {
        const row = y.subarray(m * 4, (m + 1) * 4);
        return total + (Math.log(row.reduce((sum, v) => sum + Math.exp(v), 0)) - row[label]!) / M;
      }, 0),
  },
  'squared error': {
    gradient: squaredErrorGradient(target),
    of: (y: Float64Array): number => y.reduce((total, v, i) => total + (v - target[i]!) ** 2 / y.length, 0),
  },
};

test.each(Object.entries(LOSSES))(
  'gradients of %s by A, B, W and x are its slopes',
  (_, { gradient, of }) => {
    const loss = (of_: readonly TwinLayer[]): number => {
      let total = 0;
      twinGradients(of_, M, x, (y) => {
        total = of(y);
        return y;
      });
      return total;
    };
    const holds = (of_: readonly TwinLayer[], values: Float32Array, gradients: Float64Array): void => {
      expect(gradients).toHaveLength(values.length);
      for (const [at, value] of values.entries()) {
        values[at] = value + 2 ** -10;
        const high = loss(of_);
        values[at] = value - 2 ** -10;
        const slope = (high - loss(of_)) / 2 ** -9;
        values[at] = value;
        expect(Math.abs(slope - gradients[at]!)).toBeLessThan(1e-4);
      }
    };
    const adapted = twinGradients(layers, M, x, gradient);
    for (const [i, { low }] of layers.entries()) {
      holds(layers, low!.a, adapted[i]!.da!);
      holds(layers, low!.b, adapted[i]!.db!);
    }
    holds(layers, x, adapted[0]!.dx);
    const plain = layers.map((one) => ({ ...one, low: null }));
    for (const [i, { dw }] of twinGradients(plain, M, x, gradient).entries()) holds(plain, plain[i]!.w, dw!);
  },
);
