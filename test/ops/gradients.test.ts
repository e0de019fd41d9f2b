/** Every operation's gradient against central differences, and the rules of backward. */
import { expect, test } from 'vitest';
import {
  add,
  conv2d,
  createRuntime,
  crossEntropy,
  defineOperation,
  embedding,
  Linear,
  LoraLinear,
  LoraModel,
  layerNorm,
  linear,
  mean,
  mseLoss,
  mul,
  type Runtime,
  relu,
  reshape,
  Sequential,
  scale,
  sigmoid,
  softmax,
  sub,
  sum,
  type Tensor,
  tanh,
} from '../../src/index.js';
import { describeRuntimes, gradientError } from '../support/runtimes.js';
import { leaf } from '../support/tensors.js';

/** f32 differences over steps of 1e-2 carry about 1e-3 of the largest gradient. */
const BOUND = 5e-3;

describeRuntimes('gradients', (rt) => {
  const cases: Record<string, (rt: Runtime, x: Tensor, other: Tensor) => Tensor> = {
    add: (_, x, other) => sum(mul(add(x, other), other)),
    sub: (_, x, other) => sum(mul(sub(other, x), other)),
    mul: (_, x, other) => sum(mul(x, other)),
    'mul by itself': (_, x) => sum(mul(x, x)),
    scale: (_, x, other) => sum(mul(scale(x, -2.5), other)),
    mean: (_, x) => mean(mul(x, x)),
    reshape: (_, x, other) => sum(mul(reshape(x, [-1]), reshape(other, [15]))),
    softmax: (_, x, other) => sum(mul(softmax(x), other)),
    tanh: (_, x, other) => sum(mul(tanh(x), other)),
    sigmoid: (_, x, other) => sum(mul(sigmoid(x), other)),
    'mseLoss, first': (_, x, other) => mseLoss(x, other),
    'mseLoss, second, sum': (_, x, other) => mseLoss(other, x, { reduction: 'sum' }),
    'mseLoss, none': (_, x, other) => sum(mul(mseLoss(x, other, { reduction: 'none' }), other)),
    'crossEntropy, mean': (r, x) => crossEntropy(x, r.tensor(Int32Array.of(1, 0, 4))),
    'crossEntropy, sum, ignored': (r, x) =>
      crossEntropy(x, r.tensor(Int32Array.of(1, 9, 4)), { ignoreIndex: 9, reduction: 'sum' }),
    'crossEntropy, none': (r, x) =>
      sum(
        mul(
          crossEntropy(x, r.tensor(Int32Array.of(1, 0, -100)), { reduction: 'none' }),
          r.tensor([1, -2, 3]),
        ),
      ),
    'used twice': (_, x, other) => add(sum(mul(x, other)), mean(mul(x, x))),
  };
  for (const [name, loss] of Object.entries(cases)) {
    test(name, () => {
      const x = leaf(rt(), [3, 5]);
      const other = rt().normal([3, 5]).keep();
      const { error, largest } = gradientError(rt(), x, () => loss(rt(), x, other));
      expect(largest).toBeGreaterThan(0.01);
      expect(error).toBeLessThan(BOUND * largest);
    });
  }

  test('relu, away from its kink', () => {
    const x = leaf(rt(), [3, 5]);
    x.set(Array.from({ length: 15 }, (_, i) => (i % 2 === 0 ? 1 : -1) * (0.2 + i / 10)));
    const other = rt().normal([3, 5]).keep();
    const { error, largest } = gradientError(rt(), x, () => sum(mul(relu(x), other)));
    expect(largest).toBeGreaterThan(0.1);
    expect(error).toBeLessThan(BOUND * largest);
  });

  test('linear, of x with leading dimensions, weight and bias', () => {
    const [x, w, b] = [leaf(rt(), [2, 3, 7]), leaf(rt(), [5, 7]), leaf(rt(), [5])];
    const other = rt().normal([2, 3, 5]).keep();
    for (const input of [x, w, b]) {
      const { error, largest } = gradientError(rt(), input, () => sum(mul(linear(x, w, b), other)));
      expect(largest).toBeGreaterThan(0.1);
      expect(error).toBeLessThan(BOUND * largest);
    }
  });

  test.each([0, 0.5])('LoRA linear with dropout %d, of x, A and B', (loraDropout) => {
    const base = new Linear(rt(), 9, 6);
    const layer = LoraLinear.from(base, { r: 3, loraAlpha: 6, loraDropout, initLoraWeights: false });
    const x = leaf(rt(), [4, 9]);
    const other = rt().normal([4, 6]).keep();
    const { A, B } = layer.factors('default');
    // In evaluation the function is fixed; the mask itself is tested with the layer.
    layer.eval();
    for (const input of [x, A, B]) {
      const { error, largest } = gradientError(rt(), input, () => sum(mul(layer.forward(x), other)));
      expect(largest).toBeGreaterThan(0.05);
      expect(error).toBeLessThan(BOUND * largest);
    }
    expect(base.weight.grad).toBeNull();
  });

  test('an operation of one’s own', () => {
    const cube = defineOperation({
      name: 'cube',
      forward: ({ x }: { x: Tensor }) => ({ y: mul(x, mul(x, x)), keep: { x } }),
      backward: ({ dy, kept: { x } }) => ({ x: scale(mul(dy, mul(x, x)), 3) }),
    });
    const x = leaf(rt(), [6]);
    const { blocks } = rt().memory();
    for (const loss of [() => sum(cube({ x })), () => sum(cube({ x: scale(cube({ x }), 0.5) }))]) {
      const { error, largest } = gradientError(rt(), x, loss);
      expect(largest).toBeGreaterThan(0.1);
      expect(error).toBeLessThan(BOUND * largest);
    }
    x.grad?.dispose();
    x.grad = null;
    expect(rt().memory().blocks).toBe(blocks);
  });

  test('backward adds into grad; noGrad records nothing; a second backward is an error', () => {
    const x = leaf(rt(), [3]);
    for (let i = 0; i < 2; i++) rt().scope(() => sum(scale(x, 2)).backward());
    expect([...x.grad!.toArray()]).toEqual([4, 4, 4]);
    expect(rt().noGrad(() => scale(x, 2)).requiresGrad).toBe(false);
    const y = sum(mul(x, x));
    y.backward();
    expect(() => y.backward()).toThrow(/expected one backward/);
  });

  test('a saved tensor that was changed in place is an error', () => {
    const x = leaf(rt(), [3]);
    const y = sum(mul(x, x));
    x.set([1, 2, 3]);
    expect(() => y.backward()).toThrow(/changed in place/);
  });

  test('logits of 1e4 give finite loss and gradient; nothing counted gives 0', () => {
    const x = rt().tensor([1e4, -1e4, 0, -1e4, -1e4, -1e4], [2, 3], { requiresGrad: true });
    const loss = crossEntropy(x, rt().tensor(Int32Array.of(1, 2)));
    loss.backward();
    expect(loss.item()).toBeCloseTo((2e4 + Math.log(3)) / 2, 1);
    expect([...x.grad!.toArray()].every(Number.isFinite)).toBe(true);
    expect(crossEntropy(x, rt().tensor(Int32Array.of(-100, -100))).item()).toBe(0);
  });
});

test('tensors of two runtimes in one operation, or layers of two in one model, are a TypeError', async () => {
  const [a, b] = [await createRuntime({ threads: 1 }), await createRuntime({ threads: 1 })];
  const ids = { dtype: 'i32' } as const;
  const mixed: readonly [string, () => unknown][] = [
    ['add', () => add(a.tensor([1]), b.tensor([1]))],
    ['mul', () => mul(a.tensor([1]), b.tensor([1]))],
    ['mseLoss', () => mseLoss(a.tensor([1]), b.tensor([1]))],
    ['linear', () => linear(a.zeros([1, 2]), b.zeros([3, 2]))],
    ['linear bias', () => linear(a.zeros([1, 2]), a.zeros([3, 2]), b.zeros([3]))],
    ['conv2d', () => conv2d(a.zeros([1, 2, 2]), b.zeros([1, 1, 1, 1]))],
    ['embedding', () => embedding(a.zeros([1], ids), b.zeros([2, 2]))],
    ['layerNorm', () => layerNorm(a.zeros([2]), [2], b.zeros([2]))],
    ['crossEntropy', () => crossEntropy(a.zeros([1, 2]), b.zeros([1], ids))],
    ['Linear', () => new Linear(a, 2, 3).forward(b.zeros([1, 2]))],
    ['LoraLinear', () => LoraLinear.from(new Linear(a, 2, 3)).forward(b.zeros([1, 2]))],
    [
      'LoraModel.attach',
      () =>
        LoraModel.attach(new Sequential(new Linear(a, 2, 3), new Linear(b, 3, 2)), {
          targetModules: 'all-linear',
        }),
    ],
  ];
  for (const [name, run] of mixed) {
    expect(run, name).toThrow(TypeError);
    expect(run, name).toThrow(/another runtime/);
  }
});
