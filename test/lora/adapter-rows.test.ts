/** Rows of a batch that have adapters of their own have the bits of full runs. */
import { expect, test } from 'vitest';
import {
  Conv2d,
  Embedding,
  Linear,
  type LoraConfig,
  LoraModel,
  mean,
  type Tensor,
  tanh,
} from '../../src/index.js';
import { chain } from '../support/chain.js';
import { stirAll, valuesOf } from '../support/layers.js';
import { Headed } from '../support/models.js';
import { describeRuntimes } from '../support/runtimes.js';

const CONFIG: LoraConfig = { r: 2, loraAlpha: 4, targetModules: ['0', '1'] };

describeRuntimes('adapters and their state', (rt) => {
  test('adapterNames: unknown names, wrong lengths, training and merging are refused; rows are bit-equal to full runs', () => {
    const lora = LoraModel.attach(new Headed(rt()), CONFIG, 'a');
    lora.addAdapter('b', { ...CONFIG, r: 3, targetModules: ['0', 'lm_head'] });
    lora.addAdapter('dora', { ...CONFIG, useDora: true });
    for (const name of lora.adapters) stirAll(rt(), lora, name);
    const x = rt().normal([5, 6]).keep();
    const names = ['a', '__base__', 'b', 'dora', 'b'];
    const mixed = (adapterNames: unknown): number[] =>
      rt().scope(() =>
        rt().noGrad(() => [
          ...lora.withAdapterNames(adapterNames as string[], () => lora.forward(x)).toArray(),
        ]),
      );
    expect(() => mixed(names)).toThrow('in training mode');
    lora.eval();
    expect(() => mixed(['a', 'typo', 'a', 'a', 'a'])).toThrow(
      "there is no adapter 'typo', expected one of a, b, dora",
    );
    expect(() => mixed(['a'])).toThrow('adapterNames has 1 names, expected one for each row of [5, 6]');
    const y = mixed(names);
    for (const [i, name] of names.entries()) {
      lora.setAdapter(name === '__base__' ? [] : name);
      expect(y.slice(4 * i, 4 * i + 4)).toEqual(valuesOf(rt(), lora, x).slice(4 * i, 4 * i + 4));
    }
    lora.setAdapter('a');
    lora.merge();
    expect(() => mixed(names)).toThrow("while adapter 'a' is merged");
  });

  test('rows of embeddings, convolutions and every shape of adapter are bit-equal to full runs', () => {
    const images = chain({
      wte: new Embedding(rt(), 9, 6),
      conv: new Conv2d(rt(), 2, 4, 3, { padding: 1, groups: 2 }),
      pool: (planes: Tensor) => mean(tanh(planes), [2, 3]),
      fc: new Linear(rt(), 4, 5, { fanInFanOut: true }),
    });
    const targetModules = ['wte', 'conv', 'fc'];
    const configs: Record<string, LoraConfig> = {
      plain: { r: 4, targetModules },
      dora: { r: 2, targetModules, useDora: true },
      pissa: { r: 2, targetModules: ['fc'], initLoraWeights: 'pissa' },
      slices: { r: 2, targetModules: ['fc'], fusedSlices: { fc: { sizes: [2, 3], adapted: [false, true] } } },
      biased: { r: 2, targetModules: ['conv', 'fc'], loraBias: true },
    };
    const lora = LoraModel.attach(images).eval() as LoraModel<typeof images>;
    for (const [name, config] of Object.entries(configs)) {
      lora.addAdapter(name, config);
      const named = lora.namedParameters().filter(([key]) => key.split('.').includes(name));
      for (const [, parameter] of named) {
        const drawn = rt().normal(parameter.shape, 0.4);
        parameter.set(drawn);
        drawn.dispose();
      }
    }
    const names = ['dora', 'plain', '__base__', 'pissa', 'slices', 'biased', 'plain', '__base__'];
    const ids = rt().tensor(
      Int32Array.from({ length: 8 * 2 * 4 }, (_, i) => (i * 5) % 9),
      [8, 2, 4],
    );
    const y = rt().scope(() =>
      rt().noGrad(() => [...lora.withAdapterNames(names, () => lora.forward(ids)).toArray()]),
    );
    for (const [i, name] of names.entries()) {
      lora.setAdapter(name === '__base__' ? [] : name);
      expect(y.slice(5 * i, 5 * i + 5), name).toEqual(valuesOf(rt(), lora, ids).slice(5 * i, 5 * i + 5));
    }
  });
});
