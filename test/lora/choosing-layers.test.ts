/** Which layers a config means: patterns, filters, saved modules and misspelt options; faults that other packages had. */
import { expect, test } from 'vitest';
import { Linear, type LoraConfig, LoraModel } from '../../src/index.js';
import { chain } from '../support/chain.js';
import { Headed } from '../support/models.js';
import { describeRuntimes } from '../support/runtimes.js';

const CONFIG: LoraConfig = { r: 2, loraAlpha: 4, targetModules: ['0', '1'] };

describeRuntimes('adapters and their state', (rt) => {
  test('both patterns take effect on one layer', () => {
    const lora = LoraModel.attach(new Headed(rt()), {
      ...CONFIG,
      rankPattern: { '0.0': 4 },
      alphaPattern: { '.*layers.*': 32 },
    });
    const [first] = lora.report().adapters[0]!.layers;
    expect(first).toMatchObject({ path: 'layers.0.0', r: 4, loraAlpha: 32, scaling: 8 });
  });

  test('a key that matches nothing throws; one that is shadowed or left out stands in the report', () => {
    const attach = (rankPattern: Record<string, number>) =>
      LoraModel.attach(new Headed(rt()), { ...CONFIG, excludeModules: ['1.1'], rankPattern });
    expect(() => attach({ q_porj: 4 })).toThrow("key 'q_porj' matches no layer");
    const [adapter] = attach({ '0': 4, 'layers.0.0': 9, 'layers.1.1': 5 }).report().adapters;
    expect(adapter!.unused).toEqual(["rankPattern key 'layers.0.0'", "rankPattern key 'layers.1.1'"]);
    expect(adapter!.excluded).toEqual(['layers.1.1']);
  });

  test('a head without a number is targeted by its name beside a layer filter', () => {
    const outer = chain({ model: new Headed(rt()), lm_head: new Linear(rt(), 4, 4) });
    const lora = LoraModel.attach(outer, {
      r: 2,
      targetModules: ['0', 'lm_head'],
      layersToTransform: [0],
      layersPattern: 'layers',
    });
    // Named in full, the head at the root is adapted; the inner one is a suffix match, and has no number.
    expect(lora.report().wrapped).toEqual(['model.layers.0.0', 'lm_head']);
  });

  test.each([[undefined], ['x'], [[1]], [[undefined]]])('modulesToSave %j throws', (modulesToSave) => {
    const config = { ...CONFIG, modulesToSave } as unknown as LoraConfig;
    expect(() => LoraModel.attach(new Headed(rt()), config)).toThrow(/modulesToSave/);
  });

  test('modulesToSave as a long text is cut in the message', () => {
    const config = { ...CONFIG, modulesToSave: 'x'.repeat(100_000) } as unknown as LoraConfig;
    expect(() => LoraModel.attach(new Headed(rt()), config)).toThrow(/^.{0,400}expected an array of names$/);
  });

  test('a misspelt option throws; null means none', () => {
    expect(() =>
      LoraModel.attach(new Headed(rt()), { ...CONFIG, moduleToSave: ['x'] } as LoraConfig),
    ).toThrow("unknown option 'moduleToSave'");
    expect(
      LoraModel.attach(new Headed(rt()), { ...CONFIG, modulesToSave: null }).report().adapters[0]!.saved,
    ).toEqual([]);
  });
});
