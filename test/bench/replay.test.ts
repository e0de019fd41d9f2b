/** The replay of a training step's kernel calls: the same calls, the same results, and what it refuses. */
import {
  Adam,
  createRuntime,
  crossEntropy,
  Linear,
  LoraModel,
  ReLU,
  type Runtime,
  Sequential,
} from 'lora-wasm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { recordCalls, recordReplay } from '../../bench/baselines/replay.js';

describe('replay of a step', () => {
  let rt: Runtime;
  let lora: LoraModel;
  let step: () => void;

  beforeAll(async () => {
    rt = await createRuntime({ threads: 1, seed: 3 });
    const network = new Sequential(new Linear(rt, 13, 20), new ReLU(), new Linear(rt, 20, 5));
    lora = LoraModel.attach(network, { r: 2, targetModules: ['0', '2'], initLoraWeights: false });
    const adam = new Adam(lora.trainableParameters(), { lr: 1e-2 });
    const x = rt.uniform([6, 13], -1, 1);
    const labels = rt.tensor(Int32Array.of(0, 1, 2, 3, 4, 0));
    step = () => {
      adam.zeroGrad();
      rt.scope(() => crossEntropy(lora.forward(x), labels).backward());
      adam.step();
    };
    step();
  });

  afterAll(() => rt.dispose());

  const bitsOf = (part: 'value' | 'grad'): number[][] =>
    lora.trainableParameters().map((own) => [...(part === 'grad' ? own.grad! : own).toArray()]);

  test('makes as many kernel calls as a step, in its order', () => {
    const replay = recordReplay(rt, step);
    const names = replay.calls.map(({ name }) => name);
    expect(names).toEqual(recordCalls(rt, step).map(({ name }) => name));
    expect(names.filter((name) => name === 'linearForward')).toHaveLength(2);
    expect(names.at(-1)).toBe('adamStep');
    expect(recordCalls(rt, replay.run)).toEqual([]);
  });

  test('leaves the gradients of a step from the same values, and the same bits every time', () => {
    const { run, reset } = recordReplay(rt, step);
    const before = bitsOf('value');
    step();
    const gradients = bitsOf('grad');
    reset();
    expect(bitsOf('value')).toEqual(before);
    run();
    expect(bitsOf('grad')).toEqual(gradients);
    const after = bitsOf('value');
    expect(after).not.toEqual(before);
    run();
    expect(bitsOf('value')).not.toEqual(after);
    reset();
    run();
    expect(bitsOf('value')).toEqual(after);
  });

  test('refuses steps that differ, and memory that was taken since', () => {
    let turn = 0;
    const uneven = (): void => {
      step();
      if (turn++ % 2 === 1) rt.scope(() => rt.full([3], 1));
    };
    expect(() => recordReplay(rt, uneven)).toThrow(
      /one step makes \d+ kernel calls, the next \d+, expected the same/,
    );
    const { check } = recordReplay(rt, step);
    check();
    rt.zeros([3]);
    expect(check).toThrow('Replay: memory holds');
  });
});
