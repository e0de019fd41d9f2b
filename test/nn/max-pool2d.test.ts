/** MaxPool2d: values and gradients against plain loops, exactly; NaN, ties and edges as in PyTorch; messages. */
import { expect, test } from 'vitest';
import { MaxPool2d, type MaxPool2dOptions, maxPool2d, mul, sum } from '../../src/index.js';
import { describeRuntimes, gradientError } from '../support/runtimes.js';

interface Case {
  readonly size: [number, number];
  readonly kernel: [number, number];
  readonly options: MaxPool2dOptions;
}

const CASES: Case[] = [
  { size: [4, 4], kernel: [2, 2], options: {} },
  { size: [5, 7], kernel: [2, 3], options: {} },
  { size: [6, 6], kernel: [3, 3], options: { stride: 1, padding: 1 } },
  { size: [7, 9], kernel: [3, 2], options: { stride: [2, 1], padding: [1, 0], dilation: [1, 3] } },
  { size: [3, 3], kernel: [2, 2], options: { stride: 1, padding: 1, dilation: 2 } },
  { size: [1, 1], kernel: [1, 1], options: {} },
];

const pair = (value: number | readonly [number, number] | undefined, fallback: [number, number]) =>
  value === undefined ? fallback : typeof value === 'number' ? [value, value] : value;

/** For every output of one plane, the element of x that is largest. */
function reference({ size: [H, W], kernel, options }: Case, x: number[]): { out: number[]; at: number[] } {
  const [stride, pad, dilation] = [
    pair(options.stride, kernel),
    pair(options.padding, [0, 0]),
    pair(options.dilation, [1, 1]),
  ];
  const out = [H, W].map(
    (n, i) => Math.floor((n + 2 * pad[i]! - dilation[i]! * (kernel[i]! - 1) - 1) / stride[i]!) + 1,
  );
  const at: number[] = [];
  for (let oh = 0; oh < out[0]!; oh++)
    for (let ow = 0; ow < out[1]!; ow++) {
      let best = -1;
      for (let k = 0; k < kernel[0] * kernel[1]; k++) {
        const h = oh * stride[0]! - pad[0]! + Math.floor(k / kernel[1]) * dilation[0]!;
        const w = ow * stride[1]! - pad[1]! + (k % kernel[1]) * dilation[1]!;
        if (h < 0 || h >= H || w < 0 || w >= W) continue;
        if (best < 0 || x[h * W + w]! > x[best]!) best = h * W + w;
      }
      at.push(best);
    }
  return { out, at };
}

describeRuntimes('maxPool2d', (rt) => {
  test.each(CASES)('values and gradients, exactly, ties among them: %j', (c) => {
    const plane = c.size[0] * c.size[1];
    const x = Array.from({ length: 6 * plane }, (_, i) => ((i * 7 + (i >> 3)) % 5) - 6);
    const input = rt().tensor(x, [2, 3, ...c.size], { requiresGrad: true });
    const y = new MaxPool2d(c.kernel, c.options).forward(input);
    const wantedDx = x.map(() => 0);
    const wanted: number[] = [];
    let shape: number[] = [];
    for (let p = 0; p < 6; p++) {
      const { out, at } = reference(c, x.slice(p * plane, (p + 1) * plane));
      shape = [2, 3, ...out];
      for (const from of at) {
        wantedDx[p * plane + from]! += (wanted.length % 7) - 3;
        wanted.push(x[p * plane + from]!);
      }
    }
    expect(y.shape).toEqual(shape);
    expect([...y.toArray()]).toEqual(wanted);
    y.backward(
      rt().tensor(
        wanted.map((_, i) => (i % 7) - 3),
        shape,
      ),
    );
    expect([...input.grad!.toArray()]).toEqual(wantedDx);
  });

  test('the gradient against differences, away from ties', () => {
    const x = rt()
      .tensor(
        Array.from({ length: 36 }, (_, i) => ((i * 17) % 37) / 8),
        [1, 6, 6],
      )
      .keep();
    x.requiresGrad = true;
    const other = rt().normal([1, 5, 5]).keep();
    const loss = () => sum(mul(maxPool2d(x, 2, { stride: 1 }), other));
    const { error, largest } = gradientError(rt(), x, loss);
    expect(largest).toBeGreaterThan(0.1);
    expect(error).toBeLessThan(5e-3 * largest);
  });

  test('NaN wins; a window of -infinity alone gives its first element', () => {
    const low = Number.NEGATIVE_INFINITY;
    const x = rt().tensor(
      [1, Number.NaN, 9, 2, 3, low, 4, low, low, low, 1, low, low, low, 0, 2],
      [1, 4, 4],
      {
        requiresGrad: true,
      },
    );
    const y = maxPool2d(x, 2);
    expect([...y.toArray()]).toEqual([Number.NaN, 9, low, 2]);
    y.backward(rt().tensor([10, 20, 30, 40], [1, 2, 2]));
    expect([...x.grad!.toArray()]).toEqual([0, 10, 20, 0, 0, 0, 0, 0, 30, 0, 0, 0, 0, 0, 0, 40]);
  });

  test('memory is constant from the second step on', () => {
    const x = rt().normal([2, 6, 6]).keep();
    x.requiresGrad = true;
    const step = (): number => {
      rt().scope(() => sum(maxPool2d(x, 3)).backward());
      return rt().memory().held;
    };
    step();
    const held = step();
    expect(step()).toBe(held);
  });

  test.each<[string, () => unknown]>([
    [
      "MaxPool2d: padding is [2, 2], expected at most [1, 1], half of the window's reach",
      () => new MaxPool2d(3, { padding: 2 }),
    ],
    ['MaxPool2d: kernelSize is 0, expected an integer from 1', () => new MaxPool2d(0)],
    [
      'MaxPool2d.forward: an image of [2, 2] with its padding is [2, 2], expected at least [3, 3]',
      () => new MaxPool2d(3).forward(rt().zeros([1, 2, 2])),
    ],
    [
      'maxPool2d: x is [4, 4], expected [batch, channels, h, w] or [channels, h, w]',
      () => maxPool2d(rt().zeros([4, 4]), 2),
    ],
  ])('%s', (words, act) => {
    expect(act).toThrow(words);
  });
});
