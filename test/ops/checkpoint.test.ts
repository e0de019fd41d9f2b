/** checkpoint: the bits of the function alone, with less on the tape; random numbers, nesting, what it refuses, what errors leave. */
import { expect, test } from 'vitest';
import {
  add,
  checkpoint,
  Dropout,
  dropoutState,
  type Layer,
  Linear,
  LoraLayer,
  linear,
  linearCrossEntropy,
  loadDropoutState,
  Module,
  mul,
  type Parameter,
  Sequential,
  scale,
  sum,
  type Tensor,
  tanh,
} from '../../src/index.js';
import { failEachAllocation } from '../support/failing-allocator.js';
import { describeRuntimes, gradientError, inUse } from '../support/runtimes.js';
import { wrong } from '../support/wrong.js';

type Run = (fn: (x: Tensor) => Tensor, x: Tensor) => Tensor;
const plain: Run = (fn, x) => fn(x);

describeRuntimes('checkpoint', (rt) => {
  const leaf = (shape: number[], std = 1): Tensor => {
    const tensor = rt().normal(shape, std).keep();
    tensor.requiresGrad = true;
    return tensor;
  };

  /** Blocks with dropout in them and on their adapters. */
  const blocks = (count: number, width = 12): Sequential[] =>
    Array.from({ length: count }, () => {
      const options = { r: 2, loraDropout: 0.3, initLoraWeights: false };
      const adapted = LoraLayer.from(new Linear(rt(), width, width), options);
      return new Sequential(adapted, new Dropout(rt(), 0.2), tanhLayer(), new Linear(rt(), width, width));
    });
  const tanhLayer = (): Layer =>
    new (class extends Module {
      override forward(x: Tensor): Tensor {
        return tanh(x);
      }
    })();
  const masksOf = (model: Module): object => dropoutState(model);

  /** Bits of a step's loss and gradients, from nothing, and where random numbers stand after it. */
  const stepOf = (model: Module, leaves: readonly Tensor[], loss: () => Tensor) => {
    const state = rt().randomState();
    const masks = dropoutState(model);
    for (const one of leaves) one.grad = null;
    const value = rt().scope(() => {
      const y = loss();
      y.backward();
      return y.item();
    });
    const found = {
      ...{ value, grads: leaves.map(({ grad }) => (grad === null ? null : [...grad.toArray()])) },
      ...{ random: rt().randomState(), masks: masksOf(model) },
    };
    rt().setRandomState(state);
    loadDropoutState(model, masks);
    return found;
  };

  test('gives the bits of the function alone: values, gradients, dropout, and what is drawn after it', () => {
    const model = new Sequential(...blocks(3));
    for (const x of [leaf([5, 12]), rt().normal([5, 12]).keep()]) {
      const loss = (run: Run) => () => {
        let y = x;
        for (const block of model.layers) y = run((input) => add(input, block.forward(input)), y);
        return sum(mul(y, y));
      };
      const leaves = [x, ...model.parameters()].filter(({ requiresGrad }) => requiresGrad);
      const wanted = stepOf(model, leaves, loss(plain));
      expect(wanted.grads.every((one) => one!.some((v) => v !== 0))).toBe(true);
      expect(stepOf(model, leaves, loss(checkpoint))).toEqual(wanted);
      const nested: Run = (fn, input) => checkpoint((a) => checkpoint((b) => checkpoint(fn, b), a), input);
      expect(stepOf(model, leaves, loss(nested))).toEqual(wanted);
      const around = (): Tensor => checkpoint(() => loss(checkpoint)(), x);
      expect(stepOf(model, leaves, around)).toEqual(wanted);
    }
    model.dispose();
  });
  test('gives the bits where parameters and tensors are shared by several of them and by what is outside', () => {
    const [x, w] = [leaf([4, 6]), leaf([6, 6])];
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
    const wanted = stepOf(net, [x, w], loss(plain));
    expect(stepOf(net, [x, w], loss(checkpoint))).toEqual(wanted);
    const inside: Run = (fn, input) => checkpoint((own) => checkpoint(fn, own), input);
    expect(stepOf(net, [x, w], loss(inside))).toEqual(wanted);
    const all = () => checkpoint(() => loss(checkpoint)(), x);
    expect(stepOf(net, [x, w], all)).toEqual(wanted);
  });

  test('numbers that the function draws are drawn again', () => {
    const x = leaf([7]);
    const net = new Sequential();
    const noisy = (input: Tensor): Tensor => mul(input, add(rt().normal([7]), rt().uniform([7], 0, 1)));
    const loss = (run: Run) => () => sum(mul(run(noisy, x), rt().normal([7])));
    const wanted = stepOf(net, [x], loss(plain));
    expect(stepOf(net, [x], loss(checkpoint))).toEqual(wanted);
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
    const x = leaf([3]);
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
    const w = leaf([4, 4]);
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
    const model = new Sequential(...blocks(depth, width));
    const x = leaf([T, width]);
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
    const [hidden, w] = [leaf([70, 6]), leaf([5, 6])];
    const labels = Int32Array.from({ length: 70 }, (_, i) => i % 5);
    const net = new Sequential();
    const loss = (run: Run) => () =>
      linearCrossEntropy(hidden, { forward: (rows) => run((own) => linear(own, w), rows) }, labels);
    expect(stepOf(net, [hidden, w], loss(checkpoint))).toEqual(stepOf(net, [hidden, w], loss(plain)));
  });

  test('an error of the function leaves everything as it was, in forward and in backward', () => {
    const [model] = blocks(1);
    const x = leaf([3, 12]);
    const before = { masks: masksOf(model!), memory: inUse(rt()) };
    let failing = true;
    const fn = (input: Tensor): Tensor => {
      const y = model!.forward(input);
      if (failing) throw new RangeError('failing');
      return wrong(y);
    };
    expect(() => rt().scope(() => checkpoint(fn, x))).toThrow('failing');
    expect({ masks: masksOf(model!), memory: inUse(rt()) }).toEqual(before);
    failing = false;
    rt().scope(() => {
      const y = checkpoint(fn, x);
      const masks = masksOf(model!);
      failing = true;
      expect(() => sum(y).backward()).toThrow('failing');
      expect(masksOf(model!)).toEqual(masks);
    });
    expect([x, ...model!.parameters()].map(({ grad }) => grad)).toEqual(
      [x, ...model!.parameters()].map(() => null),
    );
    expect(inUse(rt())).toEqual(before.memory);
    model!.dispose();
  });

  test('each allocation failing in turn leaves gradients and memory as they were', async () => {
    const [model] = blocks(1);
    const x = leaf([3, 12]);
    const masks = dropoutState(model!);
    const run = (): void => {
      loadDropoutState(model!, masks);
      rt().scope(() =>
        sum(checkpoint((input) => mul(x, model!.forward(input) as Tensor), tanh(x))).backward(),
      );
    };
    run();
    const leaves = [x, ...model!.parameters()].filter(({ requiresGrad }) => requiresGrad);
    const before = leaves.map(({ grad }) => grad!.toArray());
    const memory = inUse(rt());
    const tries = await failEachAllocation(rt(), run, () => {
      expect(leaves.map(({ grad }) => grad!.toArray())).toEqual(before);
      expect(inUse(rt())).toEqual(memory);
    });
    expect(tries).toBeGreaterThan(20);
    model!.dispose();
  });

  test('what was changed between forward and backward is an error: a parameter in place, the mode, a function of its own mind', () => {
    const [model] = blocks(1);
    const x = leaf([3, 12]);
    const weight = model!.parameters()[0] as Parameter;
    const values = weight.toArray();
    let factor = 1;
    const backward = (change: () => void) => (): void =>
      rt().scope(() => {
        const y = sum(checkpoint((input) => scale(model!.forward(input) as Tensor, factor), x));
        change();
        y.backward();
      });
    expect(backward(() => weight.set(values))).toThrow(
      'backward: a tensor that checkpoint saved was changed in place since',
    );
    const other =
      /^backward: the function of checkpoint gave other values when it ran again: their sum is .*, expected/;
    expect(backward(() => model!.eval())).toThrow(other);
    expect(
      backward(() => {
        factor = 2;
      }),
    ).toThrow(other);
    expect(backward(() => {})).not.toThrow();
    model!.dispose();
  });

  test.each<[string, () => unknown]>([
    ['checkpoint: fn is 3, expected a function', () => checkpoint(wrong(3), rt().zeros([1]))],
    ['checkpoint: x is [1], expected a Tensor', () => checkpoint((x) => x, wrong([1]))],
    [
      'checkpoint: the result of fn is 7, expected a Tensor',
      () => checkpoint(() => wrong(7), rt().zeros([1])),
    ],
    [
      'checkpoint: the result of fn is 7, expected a Tensor',
      () => rt().noGrad(() => checkpoint(() => wrong(7), rt().zeros([1]))),
    ],
  ])('%s', (message, call) => {
    expect(call).toThrow(message);
  });
});
