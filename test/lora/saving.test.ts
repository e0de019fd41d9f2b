/** What is saved comes back: names, saved modules, biases, every kind and option, and adapters that began out of the base. */
import { expect, test } from 'vitest';
import { parsePeftConfig, parseSafetensors } from '../../src/formats/index.js';
import {
  AdamW,
  AdapterError,
  Conv2d,
  Embedding,
  LayerNorm,
  Linear,
  type LoraConfig,
  type LoraLinear,
  LoraModel,
  mean,
  mseLoss,
  relu,
  Sequential,
  type Tensor,
} from '../../src/index.js';
import { changedFiles } from '../support/adapter-files.js';
import { chain } from '../support/chain.js';
import { apart, largestOf, stir, stirAll, valuesOf } from '../support/layers.js';
import { describeRuntimes } from '../support/runtimes.js';
import { attach, CONFIG } from '../support/two-saved.js';

describeRuntimes('saving and loading', (rt) => {
  test('names that look like keys are ordinary names and round-trip', async () => {
    for (const name of [
      'lora',
      'lora_A',
      'weight',
      'default',
      '__proto__',
      'base_layer',
      'modules_to_save',
    ]) {
      const lora = attach(rt(), { ...CONFIG, bias: 'all', modulesToSave: null }, name);
      stirAll(rt(), lora, name);
      const files = lora.exportAdapter(name);
      const keys = [0, 1].flatMap((i) =>
        ['base_layer.bias', 'lora_A.weight', 'lora_B.weight'].map((slot) => `base_model.model.${i}.${slot}`),
      );
      expect(parseSafetensors(files['adapter_model.safetensors']).names.sort()).toEqual(keys);
      const other = attach(rt(), CONFIG, 'another');
      await other.loadAdapter(name, files);
      expect(other.exportAdapter(name)).toEqual(files);
    }
    for (const name of ['', 'a.b', 'a/b', '..', '__base__', 'x'.repeat(65)])
      expect(() => attach(rt(), CONFIG, name)).toThrow(RangeError);
  });

  test('what is loaded trains when asked to; an optimiser of nothing throws', async () => {
    const lora = attach(rt());
    const files = lora.exportAdapter();
    const fresh = LoraModel.attach(new Sequential(new Linear(rt(), 6, 5), new Linear(rt(), 5, 4)));
    await fresh.loadAdapter('frozen', files);
    expect(() => new AdamW(fresh.trainableParameters())).toThrow('expected at least one trainable Parameter');
    await fresh.loadAdapter('training', files, { trainable: true });
    expect(fresh.trainableParameters()).toHaveLength(4);
    fresh.setTrainable('frozen');
    expect(fresh.report().adapters.map(({ trainable }) => trainable)).toEqual([true, false]);
  });

  test('a trained head and trained biases are saved and restored', async () => {
    const config: LoraConfig = { ...CONFIG, targetModules: ['0'], modulesToSave: ['1'], bias: 'lora_only' };
    const lora = attach(rt(), config);
    const optimizer = new AdamW(lora.trainableParameters(), { lr: 0.1 });
    const x = rt().normal([3, 6]).keep();
    for (let i = 0; i < 2; i++)
      rt().scope(() => {
        mseLoss(lora.forward(x), rt().zeros([3, 4])).backward();
        optimizer.step();
      });
    const y = valuesOf(rt(), lora.eval(), x);
    const files = lora.exportAdapter();
    expect(parseSafetensors(files['adapter_model.safetensors']).names.sort()).toEqual(
      ['0.base_layer.bias', '0.lora_A.weight', '0.lora_B.weight', '1.bias', '1.weight'].map(
        (k) => `base_model.model.${k}`,
      ),
    );
    expect(parsePeftConfig(files['adapter_config.json']).config).toMatchObject({
      modulesToSave: ['1'],
      bias: 'lora_only',
    });
    await lora.loadAdapter('again', files);
    lora.setAdapter('again');
    expect(valuesOf(rt(), lora, x)).toEqual(y);
    // Very old files call the bias of an adapted layer by its own name.
    const old = changedFiles(lora.exportAdapter(), (tensors) => {
      tensors.set('base_model.model.0.bias', tensors.get('base_model.model.0.base_layer.bias')!);
      tensors.delete('base_model.model.0.base_layer.bias');
    });
    await lora.loadAdapter('old', old);
    lora.setAdapter('old');
    expect(valuesOf(rt(), lora, x)).toEqual(y);
  });

  test('every kind and option of an adapter round-trips, and its output with it', async () => {
    const net = () =>
      chain({
        wte: new Embedding(rt(), 9, 6),
        norm: new LayerNorm(rt(), 6),
        conv: new Conv2d(rt(), 2, 4, 3, { padding: 1, groups: 2 }),
        pool: (planes: Tensor) => mean(relu(planes), [2, 3]),
        fc: new Linear(rt(), 4, 5, { fanInFanOut: true }),
      });
    const ids = rt().tensor(
      Int32Array.from({ length: 16 }, (_, i) => (i * 5) % 9),
      [2, 2, 4],
    );
    const targetModules = ['wte', 'conv', 'fc'];
    const configs: LoraConfig[] = [
      { r: 4, loraAlpha: 6, targetModules },
      { r: 4, loraAlpha: 6, targetModules, useDora: true },
      { r: 4, loraAlpha: 6, targetModules: ['conv', 'fc'], loraBias: true },
      {
        r: 4,
        targetModules,
        useRslora: true,
        bias: 'all',
        rankPattern: { fc: 2 },
        alphaPattern: { conv: 3 },
      },
      { r: 2, targetModules: ['fc'], modulesToSave: ['norm', 'wte'], initLoraWeights: 'orthogonal' },
    ];
    for (const config of configs) {
      const lora = LoraModel.attach(net(), config);
      for (const parameter of lora.trainableParameters()) {
        const drawn = rt().normal(parameter.shape, 0.4);
        parameter.set(drawn);
        drawn.dispose();
      }
      const y = valuesOf(rt(), lora.eval(), ids);
      const files = lora.exportAdapter();
      await lora.loadAdapter('again', files, { trainable: true });
      lora.setAdapter('again');
      expect(valuesOf(rt(), lora, ids)).toEqual(y);
      expect(lora.exportAdapter('again')).toEqual(files);
    }
  });

  test('PiSSA and OLoRA are saved as plain LoRA over the original base, or as they are', async () => {
    for (const [initLoraWeights, useRslora] of [
      ['pissa', false],
      ['olora', true],
      ['pissa_niter_3', true],
    ] as const) {
      const model = new Sequential(new Linear(rt(), 6, 5), new Linear(rt(), 5, 4));
      const bytes = model.stateDict();
      const lora = LoraModel.attach(model, { ...CONFIG, initLoraWeights, useRslora, rankPattern: { 1: 3 } });
      const x = rt().normal([3, 6]).keep();
      for (const parameter of lora.trainableParameters())
        parameter.set([...parameter.toArray()].map((value, i) => value + 0.01 * (i % 5)));
      const y = valuesOf(rt(), lora.eval(), x);
      const converted = lora.exportAdapter();
      const { config } = parsePeftConfig(converted['adapter_config.json']);
      expect(config).toMatchObject({ r: 4, initLoraWeights: true });
      expect(config.loraAlpha).toBeCloseTo(useRslora ? 4 * Math.SQRT2 : 8, 12);
      const original = new Sequential(new Linear(rt(), 6, 5), new Linear(rt(), 5, 4));
      original.loadStateDict(bytes);
      const plain = LoraModel.attach(original).eval() as LoraModel;
      await plain.loadAdapter('converted', converted);
      plain.setAdapter('converted');
      expect(apart(valuesOf(rt(), plain, x), y)).toBeLessThan(1e-5 * largestOf(y));
      const own = lora.exportAdapter('default', { convert: false });
      if (initLoraWeights === 'pissa_niter_3')
        await expect(plain.loadAdapter('own', own)).rejects.toThrow(
          "expected the changed base with base: 'changed'",
        );
      else {
        await plain.loadAdapter('own', own);
        plain.setAdapter('own');
        expect(apart(valuesOf(rt(), plain, x), y)).toBeLessThan(1e-5 * largestOf(y));
        expect(plain.exportAdapter('own', { convert: false })).toEqual(own);
      }
      const weights = (model.layers as unknown as LoraLinear[]).map(({ weight }) => weight.toArray());
      for (const [i, layer] of original.layers.entries())
        (layer as unknown as LoraLinear).base.weight.set(weights[i]!);
      await plain.loadAdapter('changed', own, { base: 'changed' });
      plain.setAdapter('changed');
      expect(valuesOf(rt(), plain, x)).toEqual(y);
    }
  });

  test('fused projections are saved as one plain adapter of the same delta', async () => {
    const make = (): Sequential => new Sequential(new Linear(rt(), 6, 9));
    const lora = LoraModel.attach(make(), {
      r: 2,
      loraAlpha: 6,
      targetModules: ['0'],
      fusedSlices: { 0: { sizes: [4, 2, 3], adapted: [true, false, true] } },
    });
    const layer = lora.model.layers[0] as unknown as LoraLinear;
    stir(rt(), layer);
    const other = LoraModel.attach(make());
    await other.loadAdapter('a', lora.exportAdapter());
    const loaded = other.model.layers[0] as unknown as LoraLinear;
    const delta = layer.deltaWeight().toArray();
    expect(apart(loaded.deltaWeight('a').toArray(), delta)).toBeLessThan(1e-5 * largestOf(delta));
    expect(() =>
      LoraModel.attach(make(), {
        r: 2,
        targetModules: ['0'],
        fusedSlices: { 0: { sizes: [4, 4], adapted: [true, false] } },
      }),
    ).toThrow("slices of [4, 4] make 8 outputs, expected the layer's 9");
    expect(lora.report().adapters[0]!.layers).toHaveLength(1);
    await expect(other.loadAdapter('b', 7 as unknown as string)).rejects.toThrow(TypeError);
    expect(() => other.deleteAdapter('nix')).toThrow(AdapterError);
  });
});
