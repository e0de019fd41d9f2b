/** Random numbers put back: draws, initial values and dropout masks go on where they stood, in another runtime too. */
import { expect, test } from 'vitest';
import {
  createRuntime,
  Dropout,
  type DropoutState,
  dropoutState,
  Linear,
  LoraModel,
  loadDropoutState,
  type RandomState,
  type Runtime,
  Sequential,
  sum,
} from '../../src/index.js';
import { describeRuntimes } from '../support/runtimes.js';

describeRuntimes('random state', (rt) => {
  const draw = (on: Runtime): number[] => [
    ...on.uniform([3], 0, 1).toArray(),
    ...on.normal([3]).toArray(),
    ...new Linear(on, 3, 2).weight.toArray(),
  ];

  test('numbers go on where they stood, in this runtime and in another one of any seed', async () => {
    draw(rt());
    const state = rt().randomState();
    expect(JSON.parse(JSON.stringify(state))).toEqual(state);
    expect(state.seed).toBe(7);
    const [first, second] = [draw(rt()), draw(rt())];
    expect(second).not.toEqual(first);
    rt().setRandomState(state);
    expect([draw(rt()), draw(rt())]).toEqual([first, second]);
    using other = await createRuntime({ kernels: rt().info().kernels, threads: 1, seed: 2 ** 40 + 5 });
    expect(draw(other)).not.toEqual(first);
    other.setRandomState(state);
    expect(draw(other)).toEqual(first);
    expect(other.info().seed).toBe(7);
  });

  test('a seed of more than 32 bits comes back whole', () => {
    const before = rt().randomState();
    const state = { ...before, seed: 2 ** 45 + 3 };
    rt().setRandomState(state);
    const wide = draw(rt());
    rt().setRandomState({ ...before, seed: 3 });
    expect(draw(rt())).not.toEqual(wide);
    rt().setRandomState(state);
    expect(draw(rt())).toEqual(wide);
    rt().setRandomState(before);
  });

  test('a state that is none is refused and changes nothing', () => {
    const before = rt().randomState();
    const set = (state: unknown) => () => rt().setRandomState(state as RandomState);
    expect(set(null)).toThrow('Runtime.setRandomState: options are null, expected a plain object');
    expect(set({ ...before, seed: -1 })).toThrow('Runtime.setRandomState: seed is -1');
    expect(set({ ...before, seed: 1, draws: 0.5 })).toThrow('Runtime.setRandomState: draws is 0.5');
    expect(set({ seed: 1, draws: 2 })).toThrow('Runtime.setRandomState: layers is undefined');
    expect(rt().randomState()).toEqual(before);
  });
});

describeRuntimes('dropout state', (rt) => {
  const net = (on: Runtime) =>
    LoraModel.attach(new Sequential(new Linear(on, 6, 5), new Dropout(on, 0.5), new Linear(on, 5, 4)), {
      r: 2,
      loraDropout: 0.25,
      targetModules: 'all-linear',
    });
  const forwards = (on: Runtime, lora: LoraModel<Sequential>, count: number): number[] =>
    Array.from({ length: count }, () =>
      on.scope(() => [...lora.forward(on.full([2, 6], 1)).toArray()]),
    ).flat();

  test('masks go on where they stood, in a model whose layers have other places', async () => {
    const lora = net(rt());
    for (const [name, one] of lora.namedParameters())
      if (name.includes('lora_B')) one.set(rt().normal(one.shape));
    forwards(rt(), lora, 3);
    const state = dropoutState(lora);
    expect(JSON.parse(JSON.stringify(state))).toEqual(state);
    expect(Object.entries(state).map(([name, { step }]) => [name, step])).toEqual([
      ['0', 3],
      ['1', 3],
      ['2', 3],
    ]);
    const parameters = lora.stateDict();
    const next = forwards(rt(), lora, 2);
    using other = await createRuntime({ kernels: rt().info().kernels, threads: 1, seed: 7 });
    new Dropout(other);
    const again = net(other);
    again.loadStateDict(parameters);
    expect(forwards(other, again, 2)).not.toEqual(next);
    loadDropoutState(again, state);
    expect(forwards(other, again, 2)).toEqual(next);
  });

  test('a state of other layers, or of wrong numbers, is refused and changes nothing', () => {
    const lora = net(rt());
    forwards(rt(), lora, 1);
    const before = dropoutState(lora);
    const load = (state: unknown) => () => loadDropoutState(lora, state as DropoutState);
    const { '0': first, ...rest } = before;
    expect(load(rest)).toThrow('loadDropoutState: missing [0], unexpected [], expected the layers');
    expect(load({ ...before, other: first })).toThrow('unexpected [other]');
    expect(load({ ...before, '2': { layer: 0, step: -1 } })).toThrow("loadDropoutState: step of '2' is -1");
    expect(load({ ...before, '2': 3 })).toThrow("loadDropoutState: '2' is 3");
    expect(load([])).toThrow('loadDropoutState: state is []');
    expect(dropoutState(lora)).toEqual(before);
  });

  test('backward draws the mask of its forward, whatever the seed is meanwhile', () => {
    const before = rt().randomState();
    const lora = net(rt());
    const dropout = new Dropout(rt(), 0.5);
    const ones = rt().full([8, 8], 1).keep();
    ones.requiresGrad = true;
    rt().scope(() => {
      const y = dropout.forward(ones);
      const kept = y.toArray();
      rt().setRandomState({ ...rt().randomState(), seed: 12345 });
      sum(y).backward();
      expect(ones.grad!.toArray()).toEqual(kept);
    });
    rt().setRandomState(before);
    // The same of an adapter's branch, where A's gradient meets the dropped x.
    for (const [name, one] of lora.namedParameters())
      if (name.includes('lora_B')) one.set(rt().normal(one.shape));
    const gradient = (): number[] => [
      ...lora
        .namedParameters()
        .find(([name]) => name === '0.lora_A.default.weight')![1]
        .grad!.toArray(),
    ];
    const state = dropoutState(lora);
    const once = (seed: number): number[] => {
      loadDropoutState(lora, state);
      for (const one of lora.trainableParameters()) one.grad = null;
      rt().scope(() => {
        const loss = sum(lora.forward(rt().full([3, 6], 1)));
        rt().setRandomState({ ...rt().randomState(), seed });
        loss.backward();
      });
      rt().setRandomState(before);
      return gradient();
    };
    expect(once(99)).toEqual(once(before.seed));
  });
});
