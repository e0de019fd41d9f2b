/** linearCrossEntropy: what it holds at once, the masks it draws for each chunk, and what a failed allocation leaves. */
import { expect, test } from 'vitest';
import { Linear, type LogitsHead, LoraLayer, linearCrossEntropy } from '../../src/index.js';
import { failEachAllocation } from '../support/failing-allocator.js';
import { adaptedHead, labelsOf, lossStep } from '../support/heads.js';
import { describeRuntimes, inUse } from '../support/runtimes.js';
import { leaf } from '../support/tensors.js';

describeRuntimes('linearCrossEntropy', (rt) => {
  test('without recording there is a loss alone', () => {
    const hidden = leaf(rt(), [70, 12]);
    const layer = adaptedHead(rt());
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
        const hidden = leaf(rt(), [M, 8]);
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
    const layer = adaptedHead(rt(), { loraDropout: 0.5 }).train();
    const hidden = leaf(rt(), [130, 12]);
    const labels = labelsOf(130, 9, 1e9);
    const { A } = layer.factors('default');
    const step = (): number[] => [
      ...lossStep(rt(), () => linearCrossEntropy(hidden, layer, labels), [A]).grads[0]!,
    ];
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
    const layer = adaptedHead(rt());
    const hidden = leaf(rt(), [70, 12]);
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
});
