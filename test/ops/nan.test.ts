/** NaN is passed on as PyTorch passes it on: where something went wrong, output and gradients show it. */
import { expect, test } from 'vitest';
import {
  add,
  argmax,
  conv2d,
  crossEntropy,
  Dropout,
  embedding,
  gelu,
  layerNorm,
  linear,
  maxPool2d,
  mean,
  mseLoss,
  mul,
  type Runtime,
  relu,
  reshape,
  rmsNorm,
  scale,
  sigmoid,
  softmax,
  sub,
  sum,
  swiglu,
  type Tensor,
  tanh,
} from '../../src/index.js';
import { describeRuntimes } from '../support/runtimes.js';

const WIDTH = 21;
type Op = (x: Tensor, rt: Runtime) => Tensor;
const image = (x: Tensor): Tensor => reshape(x, [1, 3, 7]);

/** Operations of 21 elements; whether NaN reaches the gradient from x, where dy is 1. */
const OPS: readonly [string, boolean, Op][] = [
  ['tanh', true, tanh],
  ['sigmoid', true, sigmoid],
  ['gelu', true, (x) => gelu(x)],
  ['gelu by tanh', true, (x) => gelu(x, { approximate: 'tanh' })],
  ['relu', false, relu],
  ['softmax', true, softmax],
  ['add', false, (x) => add(x, x)],
  ['sub', false, (x, rt) => sub(rt.zeros([WIDTH]), x)],
  ['mul', true, (x) => mul(x, x)],
  ['scale by 0', false, (x) => scale(x, 0)],
  ['sum', false, sum],
  ['mean', false, (x) => mean(x)],
  ['mean over an axis', false, (x) => mean(reshape(x, [3, 7]), 0)],
  ['layerNorm', true, (x) => layerNorm(x, [WIDTH])],
  ['rmsNorm', true, (x, rt) => rmsNorm(x, rt.full([WIDTH], 1))],
  ['swiglu', true, (x) => swiglu(x, x)],
  ['maxPool2d', false, (x) => maxPool2d(image(x), [3, 7])],
  ['mseLoss', true, (x, rt) => mseLoss(x, rt.zeros([WIDTH]))],
  ['crossEntropy', true, (x, rt) => crossEntropy(x, rt.zeros([], { dtype: 'i32' }))],
  ['linear by 0', false, (x, rt) => linear(x, rt.zeros([4, WIDTH]))],
  ['conv2d by 0', false, (x, rt) => conv2d(image(x), rt.zeros([2, 1, 3, 7]))],
  ['embedding', false, (x, rt) => embedding(rt.zeros([2], { dtype: 'i32' }), reshape(x, [1, WIDTH]))],
  ['dropout', false, (x, rt) => new Dropout(rt, 0.5).forward(x)],
  ['dropout of everything', false, (x, rt) => new Dropout(rt, 1).forward(x)],
];

describeRuntimes('NaN', (rt) => {
  test.each(OPS)('passes %s, forward and backward, in vector and tail', (_, inGradient, op) => {
    // Every element once: dropout must not hide the ones that it drops.
    for (let at = 0; at < WIDTH; at++) {
      rt().scope(() => {
        const values = Array.from({ length: WIDTH }, (_, i) => (i === at ? Number.NaN : Math.sin(i)));
        const x = rt().tensor(values, [WIDTH], { requiresGrad: true });
        const y = op(x, rt());
        expect([...y.toArray()].some(Number.isNaN)).toBe(true);
        y.backward(rt().full(y.shape, 1));
        const gradient = [...x.grad!.toArray()];
        expect(Number.isNaN(gradient[at]!)).toBe(inGradient);
      });
    }
  });

  test.each(OPS)('in the gradient passes %s', (_, __, op) => {
    rt().scope(() => {
      const values = Array.from({ length: WIDTH }, (_, i) => 1 + 0.1 * Math.sin(i));
      const x = rt().tensor(values, [WIDTH], { requiresGrad: true });
      const y = op(x, rt());
      y.backward(rt().full(y.shape, Number.NaN));
      expect([...x.grad!.toArray()].some(Number.isNaN)).toBe(true);
    });
  });

  test('in x does not stop the gradient of relu; zero and below do', () => {
    const values = [Number.NaN, 1, 0, -1, Number.NaN, -0, 2, Number.POSITIVE_INFINITY, Number.NaN, -3, 4];
    for (const added of [0, 5]) {
      const x = rt().tensor(values, [values.length], { requiresGrad: true });
      const total = rt().scope(() => add(relu(x), added === 0 ? scale(x, 0) : scale(x, added)));
      total.backward(rt().tensor(values.map((_, i) => i + 1)));
      expect([...x.grad!.toArray()]).toEqual(
        values.map((value, i) => (value <= 0 ? 0 : i + 1) + added * (i + 1)),
      );
    }
  });

  test('is the largest for argmax, the first of several', () => {
    for (const width of [3, 4, 9, 40]) {
      for (let at = 0; at < width; at++) {
        const row = Array.from({ length: width }, (_, i) =>
          i >= at && (i - at) % 3 === 0 ? Number.NaN : 1e30,
        );
        expect(argmax(rt().tensor(row)).item()).toBe(at);
      }
    }
  });

  test('and infinity are NaN where dropout drops them, and every dropped number is 0', () => {
    const layer = new Dropout(rt(), 0.5);
    const n = 67;
    const mask = layer.forward(rt().full([n], 1)).toArray();
    expect(mask).toContain(0);
    const again = new Dropout(rt(), 1);
    const infinite = again.forward(rt().full([n], Number.POSITIVE_INFINITY)).toArray();
    expect([...infinite].every(Number.isNaN)).toBe(true);
    expect([...again.forward(rt().full([n], 3)).toArray()]).toEqual(new Array<number>(n).fill(0));
  });
});
