/** Counts of parameters, against those that `print_trainable_parameters` of PEFT 0.21.2 gives for the same model. */
import { expect, test } from 'vitest';
import {
  createRuntime,
  LayerNorm,
  Linear,
  type LoraConfig,
  LoraModel,
  type Runtime,
} from '../../src/index.js';
import { chain } from '../support/chain.js';

const modelOf = (rt: Runtime) =>
  chain({
    fc1: new Linear(rt, 6, 5),
    norm: new LayerNorm(rt, 5),
    fc2: new Linear(rt, 5, 4),
    head: new Linear(rt, 4, 3),
  });

type Row = readonly [
  bias: NonNullable<LoraConfig['bias']>,
  saved: string[],
  targets: string[],
  trains: number,
  all: number,
];

/** Of the model above with r 2. */
const PEFT: readonly Row[] = [
  ['none', [], ['fc1'], 22, 106],
  ['none', ['head'], ['fc1', 'fc2'], 55, 139],
  ['all', [], ['fc1'], 39, 106],
  ['all', [], ['fc1', 'fc2'], 57, 124],
  ['all', ['head'], ['fc1'], 51, 121],
  ['all', ['head'], ['fc1', 'fc2'], 69, 139],
  ['lora_only', [], ['fc1'], 27, 106],
  ['lora_only', ['head'], ['fc1', 'fc2'], 64, 139],
];

test.each(PEFT)(
  'bias %s, saved %j, targets %j: %i of %i train, as in PEFT',
  async (bias, saved, targets, trains, all) => {
    const rt = await createRuntime();
    const lora = LoraModel.attach(modelOf(rt), {
      r: 2,
      targetModules: targets,
      modulesToSave: saved,
      bias,
    });
    const { trainable, all: total } = lora.summary();
    expect([trainable, total]).toEqual([trains, all]);
    lora.addAdapter('other', { r: 2, targetModules: ['fc1'], bias: 'all' });
    expect(lora.summary().all).toBe(all + 22);
    rt.dispose();
  },
);
