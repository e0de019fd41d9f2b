/** checkpoint: what errors leave, and what it refuses. */
import { expect, test } from 'vitest';
import {
  checkpoint,
  dropoutState,
  loadDropoutState,
  mul,
  type Parameter,
  scale,
  sum,
  type Tensor,
  tanh,
} from '../../src/index.js';
import { blocks } from '../support/checkpointed.js';
import { failEachAllocation } from '../support/failing-allocator.js';
import { describeRuntimes, inUse } from '../support/runtimes.js';
import { leaf } from '../support/tensors.js';
import { wrong } from '../support/wrong.js';

describeRuntimes('checkpoint', (rt) => {
  test('an error of the function leaves everything as it was, in forward and in backward', () => {
    const [model] = blocks(rt(), 1);
    const x = leaf(rt(), [3, 12]);
    // The first products grow the memory, whoever asks for them.
    rt().scope(() => model!.forward(x));
    const before = { masks: dropoutState(model!), memory: inUse(rt()) };
    let failing = true;
    const fn = (input: Tensor): Tensor => {
      const y = model!.forward(input);
      if (failing) throw new RangeError('failing');
      return wrong(y);
    };
    expect(() => rt().scope(() => checkpoint(fn, x))).toThrow('failing');
    expect({ masks: dropoutState(model!), memory: inUse(rt()) }).toEqual(before);
    failing = false;
    rt().scope(() => {
      const y = checkpoint(fn, x);
      const masks = dropoutState(model!);
      failing = true;
      expect(() => sum(y).backward()).toThrow('failing');
      expect(dropoutState(model!)).toEqual(masks);
    });
    expect([x, ...model!.parameters()].map(({ grad }) => grad)).toEqual(
      [x, ...model!.parameters()].map(() => null),
    );
    expect(inUse(rt())).toEqual(before.memory);
    model!.dispose();
  });

  test('each allocation failing in turn leaves gradients and memory as they were', async () => {
    const [model] = blocks(rt(), 1);
    const x = leaf(rt(), [3, 12]);
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
    const [model] = blocks(rt(), 1);
    const x = leaf(rt(), [3, 12]);
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
