/** checkpoint: the bits of the function alone, with less on the tape; random numbers, nesting, frozen layers. */
import { expect, test } from 'vitest';
import {
  add,
  checkpoint,
  Linear,
  LoraLayer,
  linear,
  linearCrossEntropy,
  mul,
  Sequential,
  scale,
  sum,
  type Tensor,
  tanh,
} from '../../src/index.js';
import { blocks, plain, type Run, stepBits } from '../support/checkpointed.js';
import { describeRuntimes, gradientError, inUse } from '../support/runtimes.js';
import { leaf } from '../support/tensors.js';

describeRuntimes('checkpoint', (rt) => {
  test('gives the bits of the function alone: values, gradients, dropout, and what is drawn after it', () => {
    const model = new Sequential(...blocks(rt(), 3));
    for (const x of [leaf(rt(), [5, 12]), rt().normal([5, 12]).keep()]) {
      const loss = (run: Run) => () => {
        let y = x;
        for (const block of model.layers) y = run((input) => add(input, block.forward(input)), y);
        return sum(mul(y, y));
      };
      const leaves = [x, ...model.parameters()].filter(({ requiresGrad }) => requiresGrad);
      const wanted = stepBits(rt(), model, leaves, loss(plain));
      expect(wanted.grads.every((one) => one!.some((v) => v !== 0))).toBe(true);
      expect(stepBits(rt(), model, leaves, loss(checkpoint))).toEqual(wanted);
      const nested: Run = (fn, input) => checkpoint((a) => checkpoint((b) => checkpoint(fn, b), a), input);
      expect(stepBits(rt(), model, leaves, loss(nested))).toEqual(wanted);
      const around = (): Tensor => checkpoint(() => loss(checkpoint)(), x);
      expect(stepBits(rt(), model, leaves, around)).toEqual(wanted);
    }
    model.dispose();
  });

  test('gives the bits where parameters and tensors are shared by several of them and by what is outside', () => {
    const [x, w] = [leaf(rt(), [4, 6]), leaf(rt(), [6, 6])];
    const net = new Sequential();
    const loss = (run: Run) => () => {
      const table = mul(w, w);
      const first = run((input) => add(linear(input, w), mul(input, input)), x);
      const second = run((input) => mul(linear(tanh(input), table), first), add(first, x));
      const third = run((input) => linear(input, w), mul(second, first));
      return sum(
        mul(
          add(
            third,
            run(() => first, second),
          ),
          third,
        ),
      );
    };
    const wanted = stepBits(rt(), net, [x, w], loss(plain));
    expect(stepBits(rt(), net, [x, w], loss(checkpoint))).toEqual(wanted);
    const inside: Run = (fn, input) => checkpoint((own) => checkpoint(fn, own), input);
    expect(stepBits(rt(), net, [x, w], loss(inside))).toEqual(wanted);
    const all = () => checkpoint(() => loss(checkpoint)(), x);
    expect(stepBits(rt(), net, [x, w], all)).toEqual(wanted);
  });

  test('numbers that the function draws are drawn again', () => {
    const x = leaf(rt(), [7]);
    const net = new Sequential();
    const noisy = (input: Tensor): Tensor => mul(input, add(rt().normal([7]), rt().uniform([7], 0, 1)));
    const loss = (run: Run) => () => sum(mul(run(noisy, x), rt().normal([7])));
    const wanted = stepBits(rt(), net, [x], loss(plain));
    expect(stepBits(rt(), net, [x], loss(checkpoint))).toEqual(wanted);
    // Another seed between forward and backward is there again afterwards.
    x.grad = null;
    const y = loss(checkpoint)();
    const state = { ...rt().randomState(), seed: 99, draws: 5 };
    rt().setRandomState(state);
    y.backward();
    expect([...x.grad!.toArray()]).toEqual(wanted.grads[0]);
    expect(rt().randomState()).toEqual(state);
  });

  test('the function may give its input, or what is computed already, or nothing that wants a gradient', () => {
    const x = leaf(rt(), [3]);
    const cases: [(run: Run) => Tensor, number[] | null][] = [
      [(run) => run((input) => input, x), [1, 1, 1]],
      [(run) => run((input) => input, scale(x, 2)), [2, 2, 2]],
      [(run) => run(() => scale(x, 3), x), [3, 3, 3]],
      [
        (run) =>
          add(
            x,
            run((input) => input.detach(), x),
          ),
        [1, 1, 1],
      ],
    ];
    for (const run of [plain, checkpoint])
      for (const [make, wanted] of cases) {
        x.grad = null;
        rt().scope(() => sum(make(run)).backward());
        expect([...x.grad!.toArray()]).toEqual(wanted);
      }
    expect(checkpoint((input) => scale(input, 2), rt().normal([3])).requiresGrad).toBe(false);
    expect(rt().noGrad(() => checkpoint((input) => scale(input, 2), x)).requiresGrad).toBe(false);
  });

  test('the input may be disposed of before backward, and a leaf made inside the function gets nothing', () => {
    const w = leaf(rt(), [4, 4]);
    const run = (using: Run): number[] => {
      w.grad?.dispose();
      rt().scope(() => {
        const x = tanh(scale(w, 0.5));
        const y = using((input) => {
          const own = rt().full([4, 4], 2);
          own.requiresGrad = true;
          return mul(own, linear(input, w));
        }, x);
        x.dispose();
        sum(y).backward();
      });
      return [...w.grad!.toArray()];
    };
    const wanted = run(plain);
    const memory = inUse(rt());
    expect(run(checkpoint)).toEqual(wanted);
    expect(inUse(rt())).toEqual(memory);
  });

  test('what is held at most falls from what all blocks leave to their inputs and one block', () => {
    const [T, width, depth] = [64, 32, 8];
    const model = new Sequential(...blocks(rt(), depth, width));
    const x = leaf(rt(), [T, width]);
    const deep = (y: Tensor): Tensor => tanh(tanh(tanh(tanh(y))));
    const peakOf = (run: Run): number => {
      const before = rt().memory().held;
      rt().resetPeakMemory();
      rt().scope(() => {
        let y = x;
        for (const block of model.layers) {
          const read = y;
          y = rt().scope(() => run((input) => deep(block.forward(input)), read));
          if (read !== x) read.dispose();
        }
        sum(y).backward();
      });
      return rt().memory().peak - before;
    };
    for (const run of [plain, checkpoint]) peakOf(run);
    const unit = T * width * 4;
    const [whole, part] = [peakOf(plain), peakOf(checkpoint)];
    // A block saves its input, what its own tanh gives and three more; the last of them is the next one's input.
    expect(whole).toBeGreaterThan(5 * depth * unit);
    // Of one block all that is computed, and gradients on their way.
    expect(part).toBeLessThan((depth + 11) * unit);
    expect(peakOf(checkpoint)).toBe(part);
    model.dispose();
  });

  test('gradients flow through frozen layers to the adapters before them, though the input wants none', () => {
    const layers = [0, 1].map(() =>
      LoraLayer.from(new Linear(rt(), 6, 6), { r: 2, loraAlpha: 4, initLoraWeights: false }),
    );
    const [x, target] = [rt().normal([5, 6]).keep(), rt().normal([5, 6]).keep()];
    const loss = (): Tensor => {
      let y = x;
      for (const layer of layers) y = checkpoint((input) => tanh(layer.forward(input)), y);
      return sum(mul(y, target));
    };
    for (const layer of layers)
      for (const factor of [layer.factors('default').A, layer.factors('default').B]) {
        const { error, largest } = gradientError(rt(), factor, loss);
        expect(largest).toBeGreaterThan(0.05);
        expect(error).toBeLessThan(5e-3 * largest);
      }
    expect(layers.map(({ base }) => base.weight.grad)).toEqual([null, null]);
  });

  test('a head that runs in a checkpoint gives linearCrossEntropy its gradients', () => {
    const [hidden, w] = [leaf(rt(), [70, 6]), leaf(rt(), [5, 6])];
    const labels = Int32Array.from({ length: 70 }, (_, i) => i % 5);
    const net = new Sequential();
    const loss = (run: Run) => () =>
      linearCrossEntropy(hidden, { forward: (rows) => run((own) => linear(own, w), rows) }, labels);
    expect(stepBits(rt(), net, [hidden, w], loss(checkpoint))).toEqual(
      stepBits(rt(), net, [hidden, w], loss(plain)),
    );
  });
});
