/** The mean over dimensions: values against plain loops, exactly where sums are, gradients, messages; the kernels' tails and blocks. */
import { expect, test } from 'vitest';
import { mean, mul, sum } from '../../src/index.js';
import { describeRuntimes, gradientError } from '../support/runtimes.js';
import { wrong } from '../support/wrong.js';

/** Means over `axes` (from 0) of x. */
function reference(shape: number[], x: number[], axes: number[]): number[] {
  const strides = shape.map((_, i) => shape.slice(i + 1).reduce((product, dim) => product * dim, 1));
  const totals = new Map<string, number[]>();
  for (const [i, v] of x.entries()) {
    const index = shape.map((dim, axis) => Math.floor(i / strides[axis]!) % dim);
    const key = index.filter((_, axis) => !axes.includes(axis)).join();
    totals.set(key, [...(totals.get(key) ?? []), v]);
  }
  return [...totals.values()].map((values) => values.reduce((total, v) => total + v, 0) / values.length);
}

const CASES: { shape: number[]; axes: number[] }[] = [
  { shape: [4, 8], axes: [0] },
  { shape: [4, 8], axes: [1] },
  { shape: [4, 8], axes: [0, 1] },
  { shape: [2, 4, 3], axes: [1] },
  { shape: [2, 4, 4, 2], axes: [1, 2] },
  { shape: [2, 4, 2, 5], axes: [0, 2] },
  { shape: [4, 3, 2, 2, 2], axes: [0, 2, 4] },
  ...[1, 3, 4, 5, 7, 8, 9, 17].map((inner) => ({ shape: [2, 4, inner], axes: [1] })),
  ...[1, 2, 5].map((inner) => ({ shape: [1, 2048, inner], axes: [1] })),
  { shape: [1], axes: [0] },
];

describeRuntimes('mean', (rt) => {
  test.each(CASES)('values, exactly: $shape over $axes', ({ shape, axes }) => {
    const size = shape.reduce((product, dim) => product * dim, 1);
    const x = Array.from({ length: size }, (_, i) => ((i * 7 + (i >> 4)) % 9) - 4);
    const wanted = reference(shape, x, axes);
    const input = rt().tensor(x, shape);
    const y = mean(input, axes);
    expect(y.shape).toEqual(shape.filter((_, axis) => !axes.includes(axis)));
    expect([...y.toArray()]).toEqual(wanted);
    const fromEnd = axes.map((axis) => axis - shape.length).reverse();
    const kept = mean(input, fromEnd, { keepDims: true });
    expect(kept.shape).toEqual(shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim)));
    expect([...kept.toArray()]).toEqual(wanted);
  });

  test.each([[[0]], [[1]], [[2]], [[0, 2]], [[1, 2]], [[0, 1, 2]]])('gradient over %j', (axes) => {
    const x = rt().normal([3, 5, 6]).keep();
    x.requiresGrad = true;
    for (const keepDims of [false, true]) {
      const other = rt()
        .normal(mean(x, axes, { keepDims }).shape)
        .keep();
      const loss = () => sum(mul(mean(mul(x, x), axes, { keepDims }), other));
      const { error, largest } = gradientError(rt(), x, loss);
      expect(largest).toBeGreaterThan(0.005);
      expect(error).toBeLessThan(5e-3 * largest);
    }
  });

  test('gradients are written whole, and added to what is there', () => {
    const x = rt().tensor(new Array<number>(14).fill(1), [2, 7], { requiresGrad: true });
    for (const times of [1, 2]) {
      mean(x, 0).backward(rt().tensor([2, 4, 6, 8, 10, 12, 14]));
      expect([...x.grad!.toArray()]).toEqual(
        [1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4, 5, 6, 7].map((v) => v * times),
      );
    }
    const z = rt().tensor(new Array<number>(16).fill(1), [2, 8], { requiresGrad: true });
    for (const times of [1, 2]) {
      mean(z, 1).backward(rt().tensor([8, -16]));
      expect([...z.grad!.toArray()]).toEqual([...new Array(8).fill(times), ...new Array(8).fill(-2 * times)]);
    }
  });

  test('memory is constant from the second step on, several runs of axes among them', () => {
    const x = rt().normal([2, 3, 4, 5]).keep();
    x.requiresGrad = true;
    const step = (): number => {
      rt().scope(() => sum(mean(x, [0, 2])).backward());
      return rt().memory().held;
    };
    step();
    const held = step();
    expect(step()).toBe(held);
  });

  test('none given: all; no rows left: an empty tensor', () => {
    expect(mean(rt().tensor([1, 2, 6])).item()).toBe(3);
    expect(mean(rt().tensor([1, 2, 6]), [], { keepDims: true }).shape).toEqual([1]);
    expect(mean(rt().zeros([0, 3]), 1).shape).toEqual([0]);
  });

  test.each<[string, () => unknown]>([
    ['mean: an axis of [2, 3] is 2, expected an integer from -2 to 1', () => mean(rt().zeros([2, 3]), 2)],
    ['mean: axes is [0, -2], expected each dimension once', () => mean(rt().zeros([2, 3]), [0, -2])],
    ['mean: x is [0, 3], expected at least one element', () => mean(rt().zeros([0, 3]), 0)],
    ["mean: unknown option 'keepdim'", () => mean(rt().zeros([2]), 0, wrong({ keepdim: true }))],
    ["mean: axes is '0', expected a number or an array of them", () => mean(rt().zeros([2]), wrong('0'))],
  ])('%s', (words, act) => {
    expect(act).toThrow(words);
  });
});
