/** Layers without parameters: values, gradients, masks, messages. */
import { expect, test } from 'vitest';
import {
  Dropout,
  Flatten,
  GELU,
  gelu,
  mul,
  ReLU,
  Sequential,
  Sigmoid,
  scale,
  sum,
  Tanh,
} from '../../src/index.js';
import { describeRuntimes, gradientError } from '../support/runtimes.js';
import { wrong } from '../support/wrong.js';

describeRuntimes('layers without parameters', (rt) => {
  test('values that PyTorch gives', () => {
    const x = rt().tensor([-3, -1, -0.1, 0, 0.5, 2]);
    const close = (layer: Sequential, wanted: number[]): void => {
      for (const [i, v] of layer.forward(x).toArray().entries()) expect(v).toBeCloseTo(wanted[i]!, 6);
    };
    close(new Sequential(new GELU()), [-0.00404969, -0.15865525, -0.04601722, 0, 0.34573123, 1.95449974]);
    const byTanh = [-3, -1, -0.1, 0, 0.5, 2].map(
      (v) => (v / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3))),
    );
    close(new Sequential(new GELU({ approximate: 'tanh' })), byTanh);
    close(new Sequential(new Tanh()), [-3, -1, -0.1, 0, 0.5, 2].map(Math.tanh));
    close(
      new Sequential(new ReLU(), new Sigmoid()),
      [0, 0, 0, 0, 0.5, 2].map((v) => 1 / (1 + Math.exp(-v))),
    );
  });

  test.each(['none', 'tanh'] as const)('gradient of gelu, approximate %s', (approximate) => {
    const x = rt().normal([3, 7]).keep();
    x.requiresGrad = true;
    const other = rt().normal([3, 7]).keep();
    const { error, largest } = gradientError(rt(), x, () => sum(mul(gelu(x, { approximate }), other)));
    expect(largest).toBeGreaterThan(0.1);
    expect(error).toBeLessThan(5e-3 * largest);
  });

  test('Flatten joins the dimensions from startDim on, and gradients go back through it', () => {
    const x = rt().tensor([1, 2, 3, 4, 5, 6, 7, 8], [2, 2, 2], { requiresGrad: true });
    const y = new Flatten().forward(x);
    expect(y.shape).toEqual([2, 4]);
    expect([...y.toArray()]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    y.backward(rt().tensor([8, 7, 6, 5, 4, 3, 2, 1], [2, 4]));
    expect(x.grad!.shape).toEqual([2, 2, 2]);
    expect([...x.grad!.toArray()]).toEqual([8, 7, 6, 5, 4, 3, 2, 1]);
    expect(new Flatten(0).forward(x).shape).toEqual([8]);
    expect(new Flatten(2).forward(x).shape).toEqual([2, 2, 2]);
    expect(new Flatten().forward(rt().zeros([0, 3, 4])).shape).toEqual([0, 12]);
  });

  test('Dropout: a new mask each call, the same one in backward, its share p, scaled', () => {
    const layer = new Dropout(rt(), 0.25);
    const x = rt().full([4001], 3).keep();
    x.requiresGrad = true;
    const y = layer.forward(x);
    const first = y.toArray();
    y.backward(rt().full([4001], 2));
    expect([...first].every((v) => v === 0 || v === 4)).toBe(true);
    expect([...x.grad!.toArray()]).toEqual([...first].map((v) => (v === 0 ? 0 : Math.fround(2 * (4 / 3)))));
    const zeros = [...first].filter((v) => v === 0).length;
    // 4001 draws: four standard errors.
    expect(Math.abs(zeros / 4001 - 0.25)).toBeLessThan(0.028);
    expect([...layer.forward(x).toArray()]).not.toEqual([...first]);
    expect([...new Dropout(rt(), 0.25).forward(x).toArray()]).not.toEqual([...first]);
    sum(scale(new Dropout(rt(), 1).forward(x), 1)).backward();
    expect([...new Dropout(rt(), 1).forward(x).toArray()].every((v) => v === 0)).toBe(true);
  });

  test('Dropout passes x on in evaluation and for p = 0', () => {
    const x = rt().normal([5]);
    expect(new Dropout(rt()).eval().forward(x)).toBe(x);
    expect(new Dropout(rt(), 0).forward(x)).toBe(x);
    const net = new Sequential(new Dropout(rt(), 1), new ReLU());
    expect([...net.forward(rt().full([2], 1)).toArray()]).toEqual([0, 0]);
    expect([
      ...net
        .eval()
        .forward(rt().full([2], 1))
        .toArray(),
    ]).toEqual([1, 1]);
  });

  test.each<[string, () => unknown]>([
    ["gelu: approximate is 'erf', expected", () => gelu(rt().zeros([1]), wrong({ approximate: 'erf' }))],
    ["GELU: unknown option 'approx'", () => new GELU(wrong({ approx: 'tanh' }))],
    ['Flatten: startDim is -1, expected an integer from 0', () => new Flatten(-1)],
    [
      'Flatten.forward: x is [3], expected more than 1 dimensions',
      () => new Flatten().forward(rt().zeros([3])),
    ],
    ['Dropout: p is 1.5, expected a number from 0 to 1', () => new Dropout(rt(), 1.5)],
    ['Dropout: runtime is 0.5, expected a Runtime', () => new Dropout(wrong(0.5))],
  ])('%s', (words, act) => {
    expect(act).toThrow(words);
  });
});
