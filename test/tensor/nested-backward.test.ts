/** A backward inside an operation's backward: the outermost hands over, and what fails adds nothing. */
import { describe, expect, test } from 'vitest';
import {
  createRuntime,
  defineOperation,
  Linear,
  mul,
  OutOfMemoryError,
  type Runtime,
  scale,
  sum,
  type Tensor,
} from '../../src/index.js';
import { FailingAllocator } from '../support/failing-allocator.js';
import { inUse } from '../support/runtimes.js';
import { gradientsOf, leafOf } from '../support/tensors.js';

const rt: Runtime = await createRuntime({ kernels: 'simd', threads: 1, seed: 3 });

describe('a backward inside an operation’s backward', () => {
  /** Passes its input on, and calls `inside` in backward. */
  const around = (inside: () => void): ((x: Tensor) => Tensor) => {
    const operation = defineOperation({
      name: 'around',
      forward: ({ a }: { a: Tensor }) => ({ y: scale(a, 1) }),
      backward: ({ dy }) => {
        inside();
        return { a: scale(dy, 1) };
      },
    });
    return (x) => operation({ a: x });
  };

  test('hands over with the outermost, and both add up', () => {
    const [w, x] = [leafOf(rt, [1, 2]), leafOf(rt, [5, 6])];
    rt.scope(() => {
      const inner = sum(mul(w, w));
      const op = around(() => {
        inner.backward();
        expect(w.grad).toBeNull();
      });
      sum(mul(op(x), w)).backward();
    });
    expect([...w.grad!.toArray()]).toEqual([2 + 5, 4 + 6]);
    expect([...x.grad!.toArray()]).toEqual([1, 2]);
    w.dispose();
    x.dispose();
  });

  test('does not write where the outer one has begun a parameter’s gradient', () => {
    const { weight } = new Linear(rt, 2, 1, { bias: false });
    weight.set([1, 2]);
    const x = rt.tensor([5, 6], [1, 2], { requiresGrad: true });
    rt.scope(() => {
      const [inner, failing] = [sum(mul(weight, weight)), sum(mul(weight, weight))];
      const op = around(() => {
        inner.backward();
        using _ = new FailingAllocator(rt, 3);
        expect(() => failing.backward()).toThrow(OutOfMemoryError);
      });
      sum(mul(op(x), weight)).backward();
    });
    expect([...weight.grad!.toArray()]).toEqual([2 + 5, 4 + 6]);
    weight.block.dispose();
  });

  test('leaves nothing when the outer one fails after it', () => {
    const [w, v, x] = [leafOf(rt, [1, 2]), leafOf(rt, [1, 2]), leafOf(rt, [5, 6])];
    v.grad = rt.tensor([7, 8]);
    const before = inUse(rt);
    rt.scope(() => {
      const inner = sum(mul(w, v));
      const op = around(() => {
        inner.backward();
        throw new Error('after the inner one');
      });
      expect(() => sum(mul(op(x), w)).backward()).toThrow(/after the inner one/);
    });
    expect(gradientsOf([w, x])).toEqual([null, null]);
    expect([...v.grad!.toArray()]).toEqual([7, 8]);
    expect(inUse(rt)).toEqual(before);
    for (const leaf of [w, v, x]) leaf.dispose();
  });

  test('that fails and is caught adds nothing of its own', () => {
    const [w, x] = [leafOf(rt, [1, 2]), leafOf(rt, [5, 6])];
    rt.scope(() => {
      const inner = sum(
        mul(
          around(() => {
            throw new Error('inner');
          })(scale(w, 1)),
          w,
        ),
      );
      const op = around(() => expect(() => inner.backward()).toThrow(/inner/));
      sum(mul(op(x), w)).backward();
    });
    expect([...w.grad!.toArray()]).toEqual([5, 6]);
    w.dispose();
    x.dispose();
  });

  test('gives a leaf that was made in there its gradient at once', () => {
    const x = leafOf(rt, [1, 2]);
    rt.scope(() => {
      const y = rt.record(rt.zeros([2]), {
        name: 'recomputed',
        inputs: { x },
        keep: {},
        backward: ({ dy, pass }) => {
          const again = rt.tensor([1, 2], [2], { requiresGrad: true });
          mul(again, again).backward(dy);
          pass(again.grad!, 'x');
        },
      });
      sum(scale(y, 3)).backward();
    });
    expect([...x.grad!.toArray()]).toEqual([6, 12]);
    x.dispose();
  });

  test('adds to a gradient that was there, once', () => {
    const [w, x] = [leafOf(rt, [1, 2]), leafOf(rt, [5, 6])];
    w.grad = rt.tensor([100, 200]);
    rt.scope(() => {
      const inner = sum(mul(w, w));
      sum(mul(around(() => inner.backward())(x), w)).backward();
    });
    expect([...w.grad!.toArray()]).toEqual([107, 210]);
    w.dispose();
    x.dispose();
  });
});
