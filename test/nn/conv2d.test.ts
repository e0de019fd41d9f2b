/** Conv2d: values against plain loops, exactly; gradients; memory; initialisation; messages. */
import { expect, test } from 'vitest';
import { Conv2d, type Conv2dOptions, conv2d, mul, type Runtime, sum } from '../../src/index.js';
import { describeRuntimes, gradientError } from '../support/runtimes.js';
import { wrong } from '../support/wrong.js';

type Two = readonly [number, number];
interface Case {
  readonly batch: number;
  readonly channels: Two;
  readonly size: Two;
  readonly kernel: Two;
  readonly stride: Two;
  readonly padding: Two;
  readonly dilation: Two;
  readonly groups: number;
}

type Row = readonly [number, Two, Two, Two, Two, Two, Two, number];
const ROWS: Row[] = [
  [1, [1, 1], [3, 3], [3, 3], [1, 1], [0, 0], [1, 1], 1],
  [2, [3, 5], [6, 7], [3, 3], [1, 1], [1, 1], [1, 1], 1],
  [2, [4, 6], [8, 8], [3, 2], [2, 1], [2, 0], [1, 3], 2],
  [3, [4, 4], [5, 6], [3, 3], [1, 2], [1, 2], [2, 1], 4],
  [1, [8, 3], [4, 4], [1, 1], [1, 1], [0, 0], [1, 1], 1],
  [1, [2, 30], [9, 9], [5, 4], [1, 1], [3, 3], [1, 1], 1],
  [2, [6, 12], [7, 5], [1, 3], [3, 2], [0, 1], [1, 1], 3],
];
const CASES: Case[] = ROWS.map(([batch, channels, size, kernel, stride, padding, dilation, groups]) => ({
  ...{ batch, channels, size, kernel },
  ...{ stride, padding, dilation, groups },
}));

const whole = (n: number, seed: number): number[] =>
  Array.from({ length: n }, (_, i) => ((i * 7 + seed * 3 + (i >> 4)) % 5) - 2);

/** Plain loops: y, [batch, out, oh, ow]. */
function reference(c: Case, x: number[], w: number[], bias: number[]): { shape: number[]; y: number[] } {
  const [[C, O], [H, W], [KH, KW]] = [c.channels, c.size, c.kernel];
  const out = [0, 1].map((i) => {
    const reach = c.dilation[i]! * (c.kernel[i]! - 1) + 1;
    return Math.floor((c.size[i]! + 2 * c.padding[i]! - reach) / c.stride[i]!) + 1;
  });
  const [Cg, Og] = [C / c.groups, O / c.groups];
  const y: number[] = [];
  for (let b = 0; b < c.batch; b++)
    for (let o = 0; o < O; o++)
      for (let oh = 0; oh < out[0]!; oh++)
        for (let ow = 0; ow < out[1]!; ow++) {
          let total = bias[o]!;
          for (let i = 0; i < Cg * KH * KW; i++) {
            const [ci, kh, kw] = [Math.floor(i / (KH * KW)), Math.floor(i / KW) % KH, i % KW];
            const h = oh * c.stride[0] - c.padding[0] + kh * c.dilation[0];
            const v = ow * c.stride[1] - c.padding[1] + kw * c.dilation[1];
            if (h < 0 || h >= H || v < 0 || v >= W) continue;
            const channel = Math.floor(o / Og) * Cg + ci;
            total += x[((b * C + channel) * H + h) * W + v]! * w[o * Cg * KH * KW + i]!;
          }
          y.push(total);
        }
  return { shape: [c.batch, O, ...out], y };
}

function layerOf(rt: Runtime, c: Case, options: Conv2dOptions = {}): Conv2d {
  const { stride, padding, dilation, groups } = c;
  return new Conv2d(rt, c.channels[0], c.channels[1], c.kernel, {
    ...{ stride, padding, dilation, groups },
    ...options,
  });
}

describeRuntimes('conv2d', (rt) => {
  test.each(CASES)('values, exactly: %j', (c) => {
    const n = c.batch * c.channels[0] * c.size[0] * c.size[1];
    const [x, layer] = [whole(n, 1), layerOf(rt(), c)];
    const [w, bias] = [whole(layer.weight.size, 2), whole(c.channels[1], 3)];
    layer.weight.set(w);
    layer.bias!.set(bias);
    const shape = [c.batch, c.channels[0], ...c.size];
    const wanted = reference(c, x, w, bias);
    const y = layer.forward(rt().tensor(x, shape));
    expect(y.shape).toEqual(wanted.shape);
    expect([...y.toArray()]).toEqual(wanted.y);
    const plain = layerOf(rt(), c, { bias: false, weight: layer.weight });
    const withoutBias = reference(
      c,
      x,
      w,
      bias.map(() => 0),
    );
    expect([...plain.forward(rt().tensor(x, shape)).toArray()].map((v) => v + 0)).toEqual(
      withoutBias.y.map((v) => v + 0),
    );
  });

  test.each(CASES)('gradients of x, weight and bias against differences: %j', (c) => {
    const layer = layerOf(rt(), c);
    const x = rt()
      .normal([c.batch, c.channels[0], ...c.size])
      .keep();
    x.requiresGrad = true;
    const other = rt()
      .normal(rt().scope(() => layer.forward(x).shape))
      .keep();
    for (const input of [x, layer.weight, layer.bias!]) {
      // Linear in each, so a long step loses no accuracy.
      const { error, largest } = gradientError(rt(), input, () => sum(mul(layer.forward(x), other)), 0.5);
      expect(largest).toBeGreaterThan(0.05);
      expect(error).toBeLessThan(1e-3 * largest);
    }
  });

  test('gradients add up over two backward passes', () => {
    const layer = layerOf(rt(), CASES[1]!);
    const x = rt().tensor(whole(2 * 3 * 42, 4), [2, 3, 6, 7], { requiresGrad: true });
    const run = (): number[][] => {
      rt().scope(() => sum(layer.forward(x)).backward());
      return [x, layer.weight, layer.bias!].map((t) => [...t.grad!.toArray()]);
    };
    const once = run();
    const twice = run();
    for (const [i, values] of twice.entries())
      for (const [j, v] of values.entries()) expect(v).toBeCloseTo(2 * once[i]![j]!, 4);
  });

  test('an image without a batch, and an empty batch', () => {
    const layer = new Conv2d(rt(), 2, 3, 3);
    const x = rt().normal([2, 5, 5]);
    const y = layer.forward(x);
    expect(y.shape).toEqual([3, 3, 3]);
    const batched = layer.forward(rt().tensor(x.toArray(), [1, 2, 5, 5]));
    expect([...y.toArray()]).toEqual([...batched.toArray()]);
    const none = layer.forward(rt().zeros([0, 2, 5, 5]));
    expect(none.shape).toEqual([0, 3, 3, 3]);
    sum(none).backward();
    expect([...layer.weight.grad!.toArray()]).toEqual(new Array(54).fill(0));
  });

  test('memory is constant from the second step on', () => {
    const layer = layerOf(rt(), CASES[1]!);
    const x = rt().normal([2, 3, 6, 7]).keep();
    const step = (): number => {
      rt().scope(() => sum(layer.forward(x)).backward());
      return rt().memory().held;
    };
    step();
    const held = step();
    expect(step()).toBe(held);
  });

  test('weight and bias are drawn from U(±1/√fan in)', () => {
    const layer = new Conv2d(rt(), 8, 16, [3, 2], { groups: 2 });
    expect(layer.weight.shape).toEqual([16, 4, 3, 2]);
    const bound = 1 / Math.sqrt(24);
    const values = [...layer.weight.toArray(), ...layer.bias!.toArray()];
    expect(Math.max(...values)).toBeLessThanOrEqual(bound);
    expect(Math.min(...values)).toBeGreaterThanOrEqual(-bound);
    const variance = values.reduce((total, v) => total + v * v, 0) / values.length;
    expect(Math.abs(variance / (bound ** 2 / 3) - 1)).toBeLessThan(0.2);
    expect(layer).toMatchObject({ kernelSize: [3, 2], stride: [1, 1], padding: [0, 0], dilation: [1, 1] });
  });

  test.each<[string, () => unknown]>([
    [
      'Conv2d.forward: x is [1, 4, 5, 5], expected [batch, 3, h, w] or [3, h, w]',
      () => new Conv2d(rt(), 3, 2, 3).forward(rt().zeros([1, 4, 5, 5])),
    ],
    [
      'Conv2d.forward: an image of [2, 9] with its padding is [2, 9], expected at least [5, 3], the reach of the window',
      () => new Conv2d(rt(), 1, 1, 3, { dilation: [2, 1] }).forward(rt().zeros([1, 2, 9])),
    ],
    [
      'Conv2d: inChannels is 3, expected a multiple of groups 2',
      () => new Conv2d(rt(), 3, 2, 3, { groups: 2 }),
    ],
    ['Conv2d: stride is 0, expected an integer from 1', () => new Conv2d(rt(), 1, 1, 3, { stride: 0 })],
    [
      'Conv2d: kernelSize is [3], expected a number or [height, width]',
      () => new Conv2d(rt(), 1, 1, wrong([3])),
    ],
    ["Conv2d: unknown option 'pad'", () => new Conv2d(rt(), 1, 1, 3, wrong({ pad: 1 }))],
    [
      'conv2d: weight is [2, 2], expected [out, in/groups, kh, kw]',
      () => conv2d(rt().zeros([1, 4, 4]), rt().zeros([2, 2])),
    ],
    [
      'conv2d: bias is [3], expected [2]',
      () => conv2d(rt().zeros([1, 4, 4]), rt().zeros([2, 1, 2, 2]), rt().zeros([3])),
    ],
  ])('%s', (words, act) => {
    expect(act).toThrow(words);
  });
});
