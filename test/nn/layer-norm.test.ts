/** LayerNorm: values, gradients of x, weight and bias, memory, messages. */
import { expect, test } from 'vitest';
import { LayerNorm, layerNorm, mul, sum } from '../../src/index.js';
import { describeRuntimes, gradientError } from '../support/runtimes.js';
import { wrong } from '../support/wrong.js';

describeRuntimes('layerNorm', (rt) => {
  test('values, over the last dimension and the last two', () => {
    const x = rt().tensor([1, 3, -2, 2, 10, 20, 5, 5], [2, 2, 2]);
    const layer = new LayerNorm(rt(), 2, { eps: 0.25 });
    layer.weight!.set([1, 10]);
    layer.bias!.set([0, 100]);
    // Pairs a, b: ±d/√(d² + eps), d half of their distance.
    const wanted = [1, 2, 5, 0].flatMap((d, i) => {
      const v = d / Math.sqrt(d * d + 0.25);
      return i === 3 ? [0, 100] : [-v, 100 + 10 * v];
    });
    for (const [i, v] of layer.forward(x).toArray().entries()) expect(v).toBeCloseTo(wanted[i]!, 4);
    const both = [...layerNorm(x, [2, 2]).toArray()];
    for (const row of [both.slice(0, 4), both.slice(4)]) {
      expect(row.reduce((total, v) => total + v, 0)).toBeCloseTo(0, 5);
      expect(row.reduce((total, v) => total + v * v, 0)).toBeCloseTo(4, 4);
    }
  });

  test.each([
    { shape: [7], options: {} },
    { shape: [3, 7], options: {} },
    { shape: [7], options: { bias: false } },
    { shape: [7], options: { affine: false } },
  ])('gradients against differences: $shape, $options', ({ shape, options }) => {
    const layer = new LayerNorm(rt(), shape, options);
    for (const parameter of layer.parameters())
      parameter.set(Array.from({ length: parameter.size }, (_, i) => 1 + Math.sin(i)));
    const x = rt().normal([2, 3, 7]).keep();
    x.requiresGrad = true;
    const other = rt().normal([2, 3, 7]).keep();
    for (const input of [x, ...layer.parameters()]) {
      const { error, largest } = gradientError(rt(), input, () => sum(mul(layer.forward(x), other)));
      expect(largest).toBeGreaterThan(0.1);
      expect(error).toBeLessThan(5e-3 * largest);
    }
  });

  test('a fresh layer has ones and zeros, by the names weight and bias', () => {
    const state = new LayerNorm(rt(), [2, 3]).stateDict();
    expect([...state.keys()]).toEqual(['weight', 'bias']);
    expect([...state.get('weight')!.data]).toEqual([1, 1, 1, 1, 1, 1]);
    expect([...state.get('bias')!.data]).toEqual([0, 0, 0, 0, 0, 0]);
    expect(new LayerNorm(rt(), 3, { affine: false }).parameters()).toEqual([]);
  });

  test('memory is constant from the second step on, with and without recording', () => {
    const layer = new LayerNorm(rt(), 7);
    const x = rt().normal([5, 7]).keep();
    const step = (): number => {
      rt().scope(() => sum(layer.forward(x)).backward());
      rt().scope(() => rt().noGrad(() => layer.forward(x).size));
      return rt().memory().held;
    };
    step();
    const held = step();
    expect(step()).toBe(held);
  });

  test.each<[string, () => unknown]>([
    [
      'LayerNorm.forward: x is [2, 4], expected [..., 3]',
      () => new LayerNorm(rt(), 3).forward(rt().zeros([2, 4])),
    ],
    ['layerNorm: normalizedShape is [], expected at least one element', () => layerNorm(rt().zeros([2]), [])],
    ['layerNorm: weight is [3], expected [2]', () => layerNorm(rt().zeros([4, 2]), [2], rt().zeros([3]))],
    ['LayerNorm: normalizedShape is 0, expected an integer from 1', () => new LayerNorm(rt(), 0)],
    [
      "LayerNorm: normalizedShape is '3', expected a number or an array",
      () => new LayerNorm(rt(), wrong('3')),
    ],
    ["LayerNorm: unknown option 'epsilon'", () => new LayerNorm(rt(), 3, wrong({ epsilon: 1 }))],
  ])('%s', (words, act) => {
    expect(act).toThrow(words);
  });
});
