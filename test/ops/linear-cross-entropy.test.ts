/** linearCrossEntropy: beside crossEntropy of a product, its float64 twin and differences; heads and labels of every kind. */
import { expect, test } from 'vitest';
import { type HeadLoss, headLoss } from '../../reference/loss.js';
import {
  add,
  crossEntropy,
  Linear,
  type LogitsHead,
  LoraLayer,
  linear,
  linearCrossEntropy,
  type Module,
  mul,
  Sequential,
  scale,
  type Tensor,
  tanh,
} from '../../src/index.js';
import { DTYPE_INFO } from '../../src/values/dtypes.js';
import { expandedValues, QUANTISED, quantised } from '../support/blocks.js';
import { adaptedHead, labelsOf, lossStep } from '../support/heads.js';
import { apart, largestOf } from '../support/layers.js';
import { describeRuntimes, gradientError } from '../support/runtimes.js';
import { leaf } from '../support/tensors.js';

describeRuntimes('linearCrossEntropy', (rt) => {
  test.each([
    [1, 5, 4],
    [3, 7, 8],
    [63, 130, 33],
    [64, 31, 16],
    [65, 40, 20],
    [200, 17, 12],
  ])('is its float64 twin: %d rows, %d classes, width %d', (M, N, K) => {
    const [hidden, weight] = [leaf(rt(), [M, K]), leaf(rt(), [N, K])];
    for (const every of [3, 1e9]) {
      const labels = labelsOf(M, N, every);
      const twin: HeadLoss = headLoss({
        ...{ hidden: hidden.toArray(), weight: weight.toArray(), labels: [...labels] },
      });
      for (const reduction of ['mean', 'sum'] as const) {
        const { value, grads } = lossStep(
          rt(),
          () => linearCrossEntropy(hidden, weight, labels, { reduction }),
          [hidden, weight],
        );
        const share = reduction === 'mean' ? 1 / twin.count : 1;
        expect(Math.abs(value - twin.loss * share)).toBeLessThan(1e-6 * (1 + twin.loss * share));
        for (const [i, wanted] of [twin.dhidden, twin.dweight].map((d) => d.map((v) => v * share)).entries())
          expect(apart(grads[i]!, wanted)).toBeLessThan(4e-6 * largestOf(wanted));
      }
    }
  });

  test.each<[string, () => LogitsHead & Module]>([
    ['a Linear with a bias', () => new Linear(rt(), 12, 9)],
    ['a Linear stored [in, out]', () => new Linear(rt(), 12, 9, { fanInFanOut: true })],
    ['a frozen weight of bf16', () => new Linear(rt(), 12, 9, { dtype: 'bf16', bias: false })],
    ['a LoRA layer', () => adaptedHead(rt())],
    ['a LoRA layer with biases', () => adaptedHead(rt(), { loraBias: true }, true)],
    ['DoRA', () => adaptedHead(rt(), { useDora: true })],
    [
      'LoRA over f16',
      () =>
        LoraLayer.from(new Linear(rt(), 12, 9, { dtype: 'f16' }), { r: 2, initLoraWeights: false }).eval(),
    ],
    ['several layers', () => new Sequential(new Linear(rt(), 12, 10), new Linear(rt(), 10, 9))],
  ])('gives loss and gradients of crossEntropy(head(hidden)): %s', (_, make) => {
    const head = make();
    const hidden = leaf(rt(), [2, 75, 12]);
    const labels = rt().tensor(labelsOf(150, 9), [2, 75]).keep();
    const leaves = [hidden, ...head.parameters().filter(({ requiresGrad }) => requiresGrad)];
    const wanted = lossStep(rt(), () => crossEntropy(head.forward(hidden), labels), leaves);
    const found = lossStep(rt(), () => linearCrossEntropy(hidden, head, labels), leaves);
    expect(Math.abs(found.value - wanted.value)).toBeLessThan(1e-6 * wanted.value);
    for (const [i, own] of wanted.grads.entries()) {
      expect(largestOf(own!)).toBeGreaterThan(1e-4);
      expect(apart(found.grads[i]!, own!)).toBeLessThan(4e-6 * largestOf(own!));
    }
    head.dispose();
  });

  test.each(QUANTISED)('over a weight of %s gives the bits of float32 over its values', (dtype) => {
    const shape = [9, DTYPE_INFO[dtype].elements];
    const weight = quantised(rt(), dtype, shape);
    const values = rt().tensor(expandedValues(weight), shape);
    const hidden = leaf(rt(), [70, shape[1]!]);
    const [blocks, plain] = [weight, values].map((head) =>
      lossStep(rt(), () => linearCrossEntropy(hidden, head, labelsOf(70, 9)), [hidden]),
    );
    expect(blocks).toEqual(plain);
    weight.block.dispose();
  });

  test('gradients against differences: hidden, a weight, the factors of a LoRA layer', () => {
    const [hidden, weight] = [leaf(rt(), [3, 12]), leaf(rt(), [9, 12])];
    const labels = Int32Array.of(4, -100, 8);
    const layer = adaptedHead(rt());
    const { A, B } = layer.factors('default');
    const cases: [Tensor, () => Tensor][] = [
      [hidden, () => linearCrossEntropy(hidden, weight, labels)],
      [weight, () => linearCrossEntropy(hidden, weight, labels, { reduction: 'sum' })],
      [hidden, () => linearCrossEntropy(hidden, layer, labels)],
      [A, () => linearCrossEntropy(hidden, layer, labels)],
      [B, () => linearCrossEntropy(hidden, layer, labels)],
    ];
    for (const [input, loss] of cases) {
      const { error, largest: top } = gradientError(rt(), input, loss);
      expect(top).toBeGreaterThan(0.05);
      expect(error).toBeLessThan(5e-3 * top);
    }
  });

  test('the gradient of the loss multiplies all of them, and what is there already is added to', () => {
    const [hidden, weight] = [leaf(rt(), [80, 6]), leaf(rt(), [5, 6])];
    const labels = labelsOf(80, 5);
    const leaves = [hidden, weight];
    const loss = (factor: number): Tensor => scale(linearCrossEntropy(hidden, weight, labels), factor);
    const once = lossStep(rt(), () => loss(1), leaves);
    const twice = lossStep(rt(), () => add(loss(3), loss(-1)), leaves);
    for (const [i, own] of once.grads.entries())
      expect(
        apart(
          twice.grads[i]!,
          own!.map((v) => 2 * v),
        ),
      ).toBeLessThan(1e-6 * largestOf(own!));
    rt().scope(() => loss(0.5).backward());
    for (const [i, own] of once.grads.entries())
      expect(
        apart(
          leaves[i]!.grad!.toArray(),
          own!.map((v) => 2.5 * v),
        ),
      ).toBeLessThan(2e-6 * largestOf(own!));
  });

  test('hidden rows and a weight that were computed hand their gradients on', () => {
    const [from, table] = [leaf(rt(), [70, 6]), leaf(rt(), [5, 6])];
    const labels = labelsOf(70, 5);
    const loss = (of: (hidden: Tensor, weight: Tensor) => Tensor): Tensor =>
      of(tanh(from), mul(table, table));
    const leaves = [from, table];
    const wanted = lossStep(
      rt(),
      () => loss((h, w) => crossEntropy(linear(h, w), rt().tensor(labels))),
      leaves,
    );
    for (const head of [
      (w: Tensor) => w,
      (w: Tensor): LogitsHead => ({ forward: (rows) => linear(rows, w) }),
    ]) {
      const found = lossStep(rt(), () => loss((h, w) => linearCrossEntropy(h, head(w), labels)), leaves);
      for (const [i, own] of wanted.grads.entries())
        expect(apart(found.grads[i]!, own!)).toBeLessThan(4e-6 * largestOf(own!));
    }
  });

  test('a head that gives a tensor it keeps, its input, or one that others saved, computes the same', () => {
    const hidden = leaf(rt(), [67, 5]);
    const labels = labelsOf(67, 5);
    const kept: Tensor[] = [];
    const heads: LogitsHead[] = [
      { forward: (rows) => rows },
      { forward: (rows) => tanh(rows) },
      {
        forward(rows) {
          kept.push(scale(rows, 1).keep());
          return kept.at(-1)!;
        },
      },
    ];
    for (const head of heads) {
      const wanted = lossStep(rt(), () => crossEntropy(head.forward(hidden), rt().tensor(labels)), [hidden]);
      const found = lossStep(rt(), () => linearCrossEntropy(hidden, head, labels), [hidden]);
      expect(apart(found.grads[0]!, wanted.grads[0]!)).toBeLessThan(2e-6 * largestOf(wanted.grads[0]!));
    }
    const values = hidden.toArray();
    const rows = [...labels.keys()].filter((i) => labels[i] !== -100);
    expect([...kept[1]!.toArray()]).toEqual(rows.flatMap((i) => [...values.subarray(5 * i, 5 * i + 5)]));
    for (const one of kept) one.dispose();
  });

  test('where no label counts, or there is no row, the loss is 0 and so is every gradient', () => {
    const layer = adaptedHead(rt());
    const { A, B } = layer.factors('default');
    for (const M of [0, 5]) {
      const hidden = leaf(rt(), [M, 12]);
      for (const reduction of ['mean', 'sum'] as const) {
        const labels = new Int32Array(M).fill(-100);
        const { value, grads } = lossStep(
          rt(),
          () => linearCrossEntropy(hidden, layer, labels, { reduction }),
          [hidden, A, B],
        );
        expect(value).toBe(0);
        for (const [i, one] of [hidden, A, B].entries())
          expect([...grads[i]!].map(Math.abs)).toEqual(new Array(one.size).fill(0));
      }
    }
  });

  test('a label of the given ignoreIndex does not count, whatever it is', () => {
    const [hidden, weight] = [leaf(rt(), [6, 4]), leaf(rt(), [5, 4])];
    const labels = Int32Array.of(4, 2, 0, 2, 1, 3);
    const loss = linearCrossEntropy(hidden, weight, labels, { ignoreIndex: 2 }).item();
    const logits = linear(hidden, weight);
    expect(loss).toBeCloseTo(crossEntropy(logits, rt().tensor(labels), { ignoreIndex: 2 }).item(), 5);
  });
});
