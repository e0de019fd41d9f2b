/** linearCrossEntropy: rows, labels, heads and options that it refuses, by name. */
import { expect, test } from 'vitest';
import { Linear, LoraModel, linearCrossEntropy, Sequential, type Tensor } from '../../src/index.js';
import { describeRuntimes } from '../support/runtimes.js';
import { wrong } from '../support/wrong.js';

describeRuntimes('linearCrossEntropy', (rt) => {
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
