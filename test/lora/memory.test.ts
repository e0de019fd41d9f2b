/** Memory stays constant: forwards and steps of every kind of layer, rows, merging and switching leave nothing behind. */
import { expect, test } from 'vitest';
import { Linear, type LoraLayerOptions, LoraModel, mseLoss, Sequential } from '../../src/index.js';
import { LAYER_KINDS, stir, valuesOf } from '../support/layers.js';
import { describeRuntimes, inUse } from '../support/runtimes.js';

describeRuntimes('memory', (rt) => {
  const options: LoraLayerOptions[] = [
    { r: 4 },
    { r: 4, loraDropout: 0.5 },
    { r: 4, useDora: true },
    { r: 4, useDora: true, loraDropout: 0.5 },
  ];
  for (const { name, base, wrap, input } of LAYER_KINDS) {
    test(`${name}: forwards, steps and merges`, () => {
      for (const option of options) {
        const layer = wrap(base(rt()), option);
        stir(rt(), layer);
        const x = input(rt());
        if (x.dtype === 'f32') x.requiresGrad = true;
        const target = rt()
          .scope(() => rt().zeros(layer.forward(x).shape))
          .keep();
        const turn = (): void => {
          rt().scope(() => mseLoss(layer.forward(x), target).backward());
          valuesOf(rt(), layer, x);
          rt().noGrad(() => {
            layer.merge();
            valuesOf(rt(), layer, x);
            layer.unmerge();
          });
        };
        turn();
        turn();
        const before = inUse(rt());
        for (let i = 0; i < 20; i++) turn();
        expect(inUse(rt()), JSON.stringify(option)).toEqual(before);
      }
    });
  }

  test('rows with adapters of their own, switching, combining and exporting', async () => {
    const config = { r: 2, targetModules: ['0', '1'], bias: 'all' as const };
    const lora = LoraModel.attach(
      new Sequential(new Linear(rt(), 6, 5), new Linear(rt(), 5, 4)),
      config,
      'carrying',
    );
    for (const name of ['a', 'b']) lora.addAdapter(name, { r: 2, targetModules: ['0', '1'] });
    lora.eval();
    const x = rt().normal([3, 6]).keep();
    const files = lora.exportAdapter('a');
    const turn = async (): Promise<void> => {
      rt().scope(() =>
        rt().noGrad(() => lora.withAdapterNames(['a', '__base__', 'b'], () => lora.forward(x)).size),
      );
      lora.setAdapter('carrying');
      lora.verifyMerge(x);
      lora.setAdapter(['a', 'b']);
      lora.withAdaptersDisabled(() => valuesOf(rt(), lora, x));
      lora.deleteAdapter(lora.addWeightedAdapter(['a', 'b'], [1, -1]));
      await lora.loadAdapter('loaded', files);
      lora.deleteAdapter('loaded');
      lora.addAdapter('p', { r: 2, targetModules: ['0'], initLoraWeights: 'pissa' });
      lora.setAdapter('p');
      lora.deleteAdapter('p');
      expect(() =>
        lora.addAdapter('p', { r: 99, targetModules: ['0', '1'], initLoraWeights: 'olora' }),
      ).toThrow();
      await expect(
        lora.loadAdapter('x', { ...files, 'adapter_model.safetensors': new Uint8Array(8) }),
      ).rejects.toThrow();
    };
    await turn();
    const before = inUse(rt());
    for (let i = 0; i < 10; i++) await turn();
    expect(inUse(rt())).toEqual(before);
    expect(lora.adapters).toEqual(['carrying', 'a', 'b']);
  });
});
