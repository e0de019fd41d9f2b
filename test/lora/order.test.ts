/** Operations in orders that are easy to get wrong: what one adapter does must not reach another, nor the plain model. */
import { expect, test } from 'vitest';
import { Conv2d, type Layer, type LoraConfig, LoraModel, type Runtime } from '../../src/index.js';
import { chain } from '../support/chain.js';
import { apart, valuesOf } from '../support/layers.js';
import { Mlp, Tied } from '../support/models.js';
import { describeRuntimes } from '../support/runtimes.js';

const PLAIN = { r: 4, targetModules: ['fc1', 'fc2'] } as const;

/** Gives every value of the adapters a random one. */
function stir(rt: Runtime, lora: LoraModel): void {
  for (const [name, parameter] of lora.namedParameters())
    if (/lora_|trained|modules_to_save/.test(name))
      parameter.set(rt.scope(() => rt.normal(parameter.shape, 0.5).toArray()) as Float32Array);
}

describeRuntimes('orders of operations', (rt) => {
  const more: Partial<LoraConfig>[] = [
    { useDora: true },
    { initLoraWeights: 'pissa' },
    { initLoraWeights: 'olora' },
    { bias: 'all' },
  ];
  for (const options of more) {
    test(`an adapter with ${JSON.stringify(options)} made while another is merged starts from the base`, () => {
      const lora = LoraModel.attach(new Mlp(rt()), { ...PLAIN, loraBias: true }, 'first').eval();
      stir(rt(), lora);
      const x = rt().normal([3, 13]).keep();
      const base = lora.withAdaptersDisabled(() => valuesOf(rt(), lora, x));
      lora.merge();
      const merged = valuesOf(rt(), lora, x);
      lora.addAdapter('second', { ...PLAIN, ...options });
      expect(valuesOf(rt(), lora, x)).toEqual(merged);
      lora.unmerge();
      lora.setAdapter('second');
      expect(apart(valuesOf(rt(), lora, x), base)).toBeLessThan(1e-4);
      expect(apart(merged, base)).toBeGreaterThan(0.1);
    });
  }

  for (const options of [{}, { initLoraWeights: 'pissa' }, { initLoraWeights: 'olora' }] as const) {
    test(`a tied head with ${JSON.stringify(options)} merged for good leaves the embedding alone, and what was frozen frozen`, () => {
      const model = new Tied(rt());
      for (const parameter of model.parameters()) parameter.requiresGrad = false;
      const lora = LoraModel.attach(model, { r: 4, targetModules: ['head'], ...options }).eval();
      stir(rt(), lora);
      const ids = rt()
        .tensor(Int32Array.of(0, 3, 8), [3], { dtype: 'i32' })
        .keep();
      const table = [...model.embedding.weight.toArray()];
      const before = valuesOf(rt(), lora, ids);
      expect(lora.mergeAndUnload()).toBe(model);
      expect([...model.embedding.weight.toArray()]).toEqual(table);
      expect(apart(valuesOf(rt(), model, ids), before)).toBeLessThan(1e-3);
      expect(model.parameters().map(({ requiresGrad }) => requiresGrad)).toEqual([false, false]);
    });
  }

  test('switching, deleting, merging and unloading inside withAdaptersDisabled are refused, and nothing changes', () => {
    const lora = LoraModel.attach(new Mlp(rt()), { ...PLAIN, bias: 'all' }, 'first').eval();
    lora.addAdapter('second', PLAIN);
    stir(rt(), lora);
    const x = rt().normal([2, 13]).keep();
    for (const merged of [false, true]) {
      if (merged) lora.merge();
      const before = valuesOf(rt(), lora, x);
      const calls: [string, () => unknown][] = [
        ['setAdapter', () => lora.setAdapter('second')],
        ['deleteAdapter', () => lora.deleteAdapter('first')],
        ['merge', () => lora.merge()],
        ['unmerge', () => lora.unmerge()],
        ['unload', () => lora.unload()],
        ['mergeAndUnload', () => lora.mergeAndUnload()],
      ];
      for (const [name, call] of calls) {
        expect(() => lora.withAdaptersDisabled(call)).toThrow(
          `LoraModel.${name}: called inside withAdaptersDisabled, expected a call outside of it`,
        );
        expect(lora.activeAdapters).toEqual(['first']);
        expect(lora.mergedAdapters).toEqual(merged ? ['first'] : []);
        expect(valuesOf(rt(), lora, x)).toEqual(before);
      }
    }
  });

  test('a load that fails leaves no layer wrapped that was not before, and no memory held', async () => {
    const files = LoraModel.attach(new Mlp(rt()), { r: 4, targetModules: ['fc2'] }).exportAdapter();
    const model = new Mlp(rt());
    const { fc2 } = model;
    const lora = LoraModel.attach(model, { r: 4, targetModules: ['fc1'] });
    const { held } = rt().memory();
    await expect(lora.loadAdapter('other', files, { prefix: 'elsewhere.' })).rejects.toThrow('nothing in');
    expect(lora.report().wrapped).toEqual(['fc1']);
    expect(model.fc2).toBe(fc2);
    expect(rt().memory().held).toBe(held);
    await lora.loadAdapter('other', files);
    expect(lora.report().wrapped).toEqual(['fc1', 'fc2']);
  });

  test('a module that a deleted adapter adapted can be saved whole', () => {
    const lora = LoraModel.attach(new Mlp(rt()), PLAIN, 'gone').eval();
    lora.deleteAdapter('gone');
    const x = rt().normal([2, 13]).keep();
    const base = valuesOf(rt(), lora, x);
    lora.addAdapter('whole', { r: 4, targetModules: ['fc1'], modulesToSave: ['fc2'] });
    lora.setAdapter('whole');
    expect(valuesOf(rt(), lora, x)).toEqual(base);
    stir(rt(), lora);
    const after = valuesOf(rt(), lora, x);
    expect(apart(after, base)).toBeGreaterThan(0.1);
    expect(lora.withAdaptersDisabled(() => valuesOf(rt(), lora, x))).toEqual(base);
    const plain = lora.mergeAndUnload();
    expect(apart(valuesOf(rt(), plain, x), after)).toBeLessThan(1e-4);
  });

  test('a grouped convolution merged for good leaves the weight it shared to the other holder', () => {
    const options = { groups: 2, padding: 1 };
    const c1 = new Conv2d(rt(), 4, 4, 3, options);
    const c2 = new Conv2d(rt(), 4, 4, 3, { ...options, weight: c1.weight });
    const lora = LoraModel.attach(chain({ c1, c2 }), { r: 4, targetModules: ['c1'] }).eval();
    stir(rt(), lora);
    const x = rt().normal([2, 4, 5, 5]).keep();
    const before = valuesOf(rt(), lora, x);
    expect(apart(valuesOf(rt(), lora.mergeAndUnload(), x), before)).toBeLessThan(1e-3);
  });

  test('dispose gives every byte back, of an adapter with a base of its own and of a merged tied layer too', () => {
    for (const [make, options] of [
      [() => new Mlp(rt()), { ...PLAIN, initLoraWeights: 'pissa' }],
      [() => new Tied(rt()), { r: 4, targetModules: ['head'] }],
    ] as const) {
      const { held } = rt().memory();
      const lora = LoraModel.attach<Layer>(make(), options);
      lora.merge();
      lora.dispose();
      expect(rt().memory().held).toBe(held);
    }
  });
});
