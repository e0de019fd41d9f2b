/** linearCrossEntropy: beside crossEntropy of a product, its float64 twin and differences; heads of every kind; what it refuses. */
import { expect, test } from 'vitest';
import { type HeadLoss, headLoss } from '../../reference/loss.js';
import {
  add,
  crossEntropy,
  Linear,
  type LogitsHead,
  LoraLayer,
  LoraModel,
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
import { failEachAllocation } from '../support/failing-allocator.js';
import { describeRuntimes, gradientError, inUse } from '../support/runtimes.js';
import { wrong } from '../support/wrong.js';

/** Labels below `classes`, of which about one in `every` does not count. */
function labelsOf(rows: number, classes: number, every = 3): Int32Array<ArrayBuffer> {
  return Int32Array.from({ length: rows }, (_, i) => (i % every === 1 ? -100 : (7 * i + 3) % classes));
}

function largest(values: ArrayLike<number>): number {
  return Array.from(values).reduce((top, v) => Math.max(top, Math.abs(v)), 0);
}

function difference(got: ArrayLike<number>, wanted: ArrayLike<number>): number {
  expect(got.length).toBe(wanted.length);
  return Array.from(got).reduce((top, v, i) => Math.max(top, Math.abs(v - wanted[i]!)), 0);
}

describeRuntimes('linearCrossEntropy', (rt) => {
  const leaf = (shape: number[], std = 1): Tensor => {
    const tensor = rt().normal(shape, std).keep();
    tensor.requiresGrad = true;
    return tensor;
  };
  /** Loss and gradients after a step from nothing. */
  const stepOf = (loss: () => Tensor, leaves: readonly Tensor[]) => {
    for (const one of leaves) one.grad = null;
    const value = rt().scope(() => {
      const y = loss();
      y.backward();
      return y.item();
    });
    return { value, grads: leaves.map(({ grad }) => grad?.toArray() ?? null) };
  };
  const adapted = (options: object = {}, bias = false) => {
    const layer = LoraLayer.from(new Linear(rt(), 12, 9, { bias }), {
      ...{ r: 3, loraAlpha: 6, initLoraWeights: false },
      ...options,
    });
    return layer.eval();
  };

  test.each([
    [1, 5, 4],
    [3, 7, 8],
    [63, 130, 33],
    [64, 31, 16],
    [65, 40, 20],
    [200, 17, 12],
  ])('is its float64 twin: %d rows, %d classes, width %d', (M, N, K) => {
    const [hidden, weight] = [leaf([M, K]), leaf([N, K])];
    for (const every of [3, 1e9]) {
      const labels = labelsOf(M, N, every);
      const twin: HeadLoss = headLoss({
        ...{ hidden: hidden.toArray(), weight: weight.toArray(), labels: [...labels] },
      });
      for (const reduction of ['mean', 'sum'] as const) {
        const { value, grads } = stepOf(
          () => linearCrossEntropy(hidden, weight, labels, { reduction }),
          [hidden, weight],
        );
        const share = reduction === 'mean' ? 1 / twin.count : 1;
        expect(Math.abs(value - twin.loss * share)).toBeLessThan(1e-6 * (1 + twin.loss * share));
        for (const [i, wanted] of [twin.dhidden, twin.dweight].map((d) => d.map((v) => v * share)).entries())
          expect(difference(grads[i]!, wanted)).toBeLessThan(4e-6 * largest(wanted));
      }
    }
  });

  test.each<[string, () => LogitsHead & Module]>([
    ['a Linear with a bias', () => new Linear(rt(), 12, 9)],
    ['a Linear stored [in, out]', () => new Linear(rt(), 12, 9, { fanInFanOut: true })],
    ['a frozen weight of bf16', () => new Linear(rt(), 12, 9, { dtype: 'bf16', bias: false })],
    ['a LoRA layer', () => adapted()],
    ['a LoRA layer with biases', () => adapted({ loraBias: true }, true)],
    ['DoRA', () => adapted({ useDora: true })],
    [
      'LoRA over f16',
      () =>
        LoraLayer.from(new Linear(rt(), 12, 9, { dtype: 'f16' }), { r: 2, initLoraWeights: false }).eval(),
    ],
    ['several layers', () => new Sequential(new Linear(rt(), 12, 10), new Linear(rt(), 10, 9))],
  ])('gives loss and gradients of crossEntropy(head(hidden)): %s', (_, make) => {
    const head = make();
    const hidden = leaf([2, 75, 12]);
    const labels = rt().tensor(labelsOf(150, 9), [2, 75]).keep();
    const leaves = [hidden, ...head.parameters().filter(({ requiresGrad }) => requiresGrad)];
    const wanted = stepOf(() => crossEntropy(head.forward(hidden), labels), leaves);
    const found = stepOf(() => linearCrossEntropy(hidden, head, labels), leaves);
    expect(Math.abs(found.value - wanted.value)).toBeLessThan(1e-6 * wanted.value);
    for (const [i, own] of wanted.grads.entries()) {
      expect(largest(own!)).toBeGreaterThan(1e-4);
      expect(difference(found.grads[i]!, own!)).toBeLessThan(4e-6 * largest(own!));
    }
    head.dispose();
  });

  test.each(QUANTISED)('over a weight of %s gives the bits of float32 over its values', (dtype) => {
    const shape = [9, DTYPE_INFO[dtype].elements];
    const weight = quantised(rt(), dtype, shape);
    const values = rt().tensor(expandedValues(weight), shape);
    const hidden = leaf([70, shape[1]!]);
    const [blocks, plain] = [weight, values].map((head) =>
      stepOf(() => linearCrossEntropy(hidden, head, labelsOf(70, 9)), [hidden]),
    );
    expect(blocks).toEqual(plain);
    weight.block.dispose();
  });

  test('gradients against differences: hidden, a weight, the factors of a LoRA layer', () => {
    const [hidden, weight] = [leaf([3, 12]), leaf([9, 12])];
    const labels = Int32Array.of(4, -100, 8);
    const layer = adapted();
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
    const [hidden, weight] = [leaf([80, 6]), leaf([5, 6])];
    const labels = labelsOf(80, 5);
    const leaves = [hidden, weight];
    const loss = (factor: number): Tensor => scale(linearCrossEntropy(hidden, weight, labels), factor);
    const once = stepOf(() => loss(1), leaves);
    const twice = stepOf(() => add(loss(3), loss(-1)), leaves);
    for (const [i, own] of once.grads.entries())
      expect(
        difference(
          twice.grads[i]!,
          own!.map((v) => 2 * v),
        ),
      ).toBeLessThan(1e-6 * largest(own!));
    rt().scope(() => loss(0.5).backward());
    for (const [i, own] of once.grads.entries())
      expect(
        difference(
          leaves[i]!.grad!.toArray(),
          own!.map((v) => 2.5 * v),
        ),
      ).toBeLessThan(2e-6 * largest(own!));
  });

  test('hidden rows and a weight that were computed hand their gradients on', () => {
    const [from, table] = [leaf([70, 6]), leaf([5, 6])];
    const labels = labelsOf(70, 5);
    const loss = (of: (hidden: Tensor, weight: Tensor) => Tensor): Tensor =>
      of(tanh(from), mul(table, table));
    const leaves = [from, table];
    const wanted = stepOf(() => loss((h, w) => crossEntropy(linear(h, w), rt().tensor(labels))), leaves);
    for (const head of [
      (w: Tensor) => w,
      (w: Tensor): LogitsHead => ({ forward: (rows) => linear(rows, w) }),
    ]) {
      const found = stepOf(() => loss((h, w) => linearCrossEntropy(h, head(w), labels)), leaves);
      for (const [i, own] of wanted.grads.entries())
        expect(difference(found.grads[i]!, own!)).toBeLessThan(4e-6 * largest(own!));
    }
  });

  test('a head that gives a tensor it keeps, its input, or one that others saved, computes the same', () => {
    const hidden = leaf([67, 5]);
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
      const wanted = stepOf(() => crossEntropy(head.forward(hidden), rt().tensor(labels)), [hidden]);
      const found = stepOf(() => linearCrossEntropy(hidden, head, labels), [hidden]);
      expect(difference(found.grads[0]!, wanted.grads[0]!)).toBeLessThan(2e-6 * largest(wanted.grads[0]!));
    }
    const values = hidden.toArray();
    const rows = [...labels.keys()].filter((i) => labels[i] !== -100);
    expect([...kept[1]!.toArray()]).toEqual(rows.flatMap((i) => [...values.subarray(5 * i, 5 * i + 5)]));
    for (const one of kept) one.dispose();
  });

  test('where no label counts, or there is no row, the loss is 0 and so is every gradient', () => {
    const layer = adapted();
    const { A, B } = layer.factors('default');
    for (const M of [0, 5]) {
      const hidden = leaf([M, 12]);
      for (const reduction of ['mean', 'sum'] as const) {
        const labels = new Int32Array(M).fill(-100);
        const { value, grads } = stepOf(
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
    const [hidden, weight] = [leaf([6, 4]), leaf([5, 4])];
    const labels = Int32Array.of(4, 2, 0, 2, 1, 3);
    const loss = linearCrossEntropy(hidden, weight, labels, { ignoreIndex: 2 }).item();
    const logits = linear(hidden, weight);
    expect(loss).toBeCloseTo(crossEntropy(logits, rt().tensor(labels), { ignoreIndex: 2 }).item(), 5);
  });

  test('without recording there is a loss alone', () => {
    const hidden = leaf([70, 12]);
    const layer = adapted();
    const labels = labelsOf(70, 9);
    const recorded = linearCrossEntropy(hidden, layer, labels);
    const bare = rt().noGrad(() => linearCrossEntropy(hidden, layer, labels));
    expect(bare.requiresGrad).toBe(false);
    expect(bare.item()).toBe(recorded.item());
    const frozen = linearCrossEntropy(rt().normal([3, 12]), rt().normal([9, 12]), Int32Array.of(1, 2, 3));
    expect(frozen.requiresGrad).toBe(false);
  });

  test('what is held at once does not grow with the rows but for their own gradient', () => {
    const weight = rt().normal([3000, 8]).keep();
    const layer = LoraLayer.from(new Linear(rt(), 8, 3000, { bias: false }), {
      r: 2,
      initLoraWeights: false,
    });
    for (const head of [weight, layer]) {
      const peaks = [65, 641].map((M) => {
        const hidden = leaf([M, 8]);
        const step = (): number => {
          hidden.grad = null;
          const before = rt().memory().held;
          rt().resetPeakMemory();
          rt().scope(() => linearCrossEntropy(hidden, head, labelsOf(M, 3000, 1e9)).backward());
          return rt().memory().peak - before;
        };
        step();
        const peak = step();
        expect(step()).toBe(peak);
        hidden.dispose();
        return peak;
      });
      const logits = 64 * 3000 * 4;
      expect(peaks[0]).toBeGreaterThan(logits);
      expect(peaks[0]).toBeLessThan(1.6 * logits);
      // 576 rows picked, their gradient here and at the leaf; index, labels and losses.
      expect(peaks[1]! - peaks[0]!).toBeLessThan(576 * (3 * 8 + 3) * 4 + 8192);
    }
    expect(rt().memory().peak).toBeGreaterThanOrEqual(rt().memory().held);
  });

  test('dropout on the head draws a mask for each chunk, gone after an error', () => {
    const layer = adapted({ loraDropout: 0.5 }).train();
    const hidden = leaf([130, 12]);
    const labels = labelsOf(130, 9, 1e9);
    const { A } = layer.factors('default');
    const step = (): number[] => [...stepOf(() => linearCrossEntropy(hidden, layer, labels), [A]).grads[0]!];
    const [first, second] = [step(), step()];
    expect(second).not.toEqual(first);
    const broken: LogitsHead = {
      forward(rows) {
        layer.forward(rows);
        throw new RangeError('broken');
      },
    };
    const memory = inUse(rt());
    expect(() => linearCrossEntropy(hidden, broken, labels)).toThrow('broken');
    expect(inUse(rt())).toEqual(memory);
    // The third step is the one that it would have been without the error: five masks went before it, not six.
    const third = step();
    layer.masks.step = 0;
    expect([step(), step(), step()]).toEqual([first, second, third]);
  });

  test('each allocation failing in turn leaves gradients and memory as they were', async () => {
    const layer = adapted();
    const hidden = leaf([70, 12]);
    const { A, B } = layer.factors('default');
    const run = (): void => rt().scope(() => linearCrossEntropy(hidden, layer, labelsOf(70, 9)).backward());
    run();
    const leaves = [hidden, A, B];
    const before = leaves.map(({ grad }) => grad!.toArray());
    const memory = inUse(rt());
    const tries = await failEachAllocation(rt(), run, () => {
      expect(leaves.map(({ grad }) => grad!.toArray())).toEqual(before);
      expect(inUse(rt())).toEqual(memory);
    });
    expect(tries).toBeGreaterThan(10);
  });

  test('rows that have adapters of their own cannot be taken apart', () => {
    const head = new Sequential(new Linear(rt(), 12, 9));
    const lora = LoraModel.attach(head, { r: 2, targetModules: ['0'] });
    lora.eval();
    lora.addAdapter('other', { r: 2, targetModules: ['0'] });
    const loss = (): Tensor => linearCrossEntropy(rt().normal([4, 12]), head, Int32Array.of(1, 2, 3, 4));
    expect(() => lora.withAdapterNames(['default', 'other'], loss)).toThrow(
      'adapterNames inside linearCrossEntropy, which takes the rows apart',
    );
    expect(loss().item()).toBeGreaterThan(0);
  });

  test.each<[string, () => unknown]>([
    [
      'linearCrossEntropy: head is [9, 11], expected [classes, 12]',
      () => linearCrossEntropy(rt().zeros([2, 12]), rt().zeros([9, 11]), Int32Array.of(1, 1)),
    ],
    [
      'linearCrossEntropy: head is i32, expected f32, f16, bf16',
      () => linearCrossEntropy(rt().zeros([1, 2]), rt().zeros([9, 2], { dtype: 'i32' }), Int32Array.of(1)),
    ],
    [
      'linearCrossEntropy: head is 7, expected a weight or a layer',
      () => linearCrossEntropy(rt().zeros([1, 2]), wrong(7), Int32Array.of(1)),
    ],
    [
      'linearCrossEntropy: labels has 3 elements, expected 4 for [2, 2]',
      () => linearCrossEntropy(rt().zeros([2, 2, 3]), rt().zeros([9, 3]), new Int32Array(3)),
    ],
    [
      'linearCrossEntropy: labels is [4], expected [2, 2]',
      () => linearCrossEntropy(rt().zeros([2, 2, 3]), rt().zeros([9, 3]), rt().zeros([4], { dtype: 'i32' })),
    ],
    [
      'linearCrossEntropy: labels is [1], expected an Int32Array or an int32 tensor',
      () => linearCrossEntropy(rt().zeros([1, 3]), rt().zeros([9, 3]), wrong([1])),
    ],
    [
      'linearCrossEntropy: label 1 is 9, expected 0 to 8 or ignoreIndex',
      () => linearCrossEntropy(rt().zeros([2, 3]), rt().zeros([9, 3]), Int32Array.of(1, 9)),
    ],
    [
      'linearCrossEntropy: label 2 is -1, expected from 0 up or ignoreIndex -100',
      () => linearCrossEntropy(rt().zeros([3, 3]), rt().zeros([9, 3]), Int32Array.of(1, -100, -1)),
    ],
    [
      "linearCrossEntropy: reduction is 'none', expected 'mean' or 'sum'",
      () =>
        linearCrossEntropy(
          rt().zeros([1, 3]),
          rt().zeros([9, 3]),
          Int32Array.of(1),
          wrong({ reduction: 'none' }),
        ),
    ],
    [
      'linearCrossEntropy: head.forward: its result is [9], expected [1, classes]',
      () => linearCrossEntropy(rt().zeros([1, 3]), { forward: () => rt().zeros([9]) }, Int32Array.of(1)),
    ],
    [
      'linearCrossEntropy: head.forward: its result is 3, expected a Tensor',
      () => linearCrossEntropy(rt().zeros([1, 3]), { forward: () => wrong(3) }, Int32Array.of(1)),
    ],
  ])('%s', (message, call) => {
    expect(call).toThrow(message);
  });
});
