/** Faults of saving and loading that other packages had, at the model; those of the formats stand in test/formats and test/cli. */
import { expect, test } from 'vitest';
import {
  parsePeftConfig,
  parseSafetensors,
  type WritableTensor,
  writeSafetensors,
} from '../../src/formats/index.js';
import {
  AdamW,
  AdapterError,
  Conv2d,
  Embedding,
  FormatError,
  LayerNorm,
  Linear,
  type LoraConfig,
  LoraLinear,
  LoraModel,
  Module,
  mean,
  mseLoss,
  type Runtime,
  relu,
  Sequential,
  type Tensor,
} from '../../src/index.js';
import { apart, largestOf, stir, valuesOf } from '../support/layers.js';
import { describeRuntimes } from '../support/runtimes.js';

const CONFIG: LoraConfig = { r: 2, loraAlpha: 4, targetModules: ['0', '1'] };
const attach = (rt: Runtime, config: LoraConfig = CONFIG, name = 'default'): LoraModel<Sequential> =>
  LoraModel.attach(new Sequential(new Linear(rt, 6, 5), new Linear(rt, 5, 4)), config, name);

function stirAll(rt: Runtime, lora: LoraModel, name = 'default'): void {
  for (const [, module] of lora.namedModules())
    if (module instanceof LoraLinear && module.adapters.includes(name)) stir(rt, module, name);
}

type Tensors = Map<string, WritableTensor>;

/** An exported adapter with its tensors changed. */
function changed(lora: LoraModel, change: (tensors: Tensors) => void) {
  const files = lora.exportAdapter();
  const file = parseSafetensors(files['adapter_model.safetensors']);
  const tensors: Tensors = new Map(
    file.names.map((key) => [key, { shape: file.info(key).shape, data: file.f32(key) }]),
  );
  change(tensors);
  return {
    config: new TextDecoder().decode(files['adapter_config.json']),
    weights: writeSafetensors(tensors),
  };
}

const KEY = 'base_model.model.1.lora_B.weight';

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

  test('missing, unexpected and renamed keys are listed; strict: false returns the lists', async () => {
    const lora = attach(rt());
    const load = (change: (tensors: Tensors) => void, options = {}) =>
      lora.loadAdapter('new', changed(lora, change), options);
    const rename = (tensors: Tensors): void => {
      tensors.set('base_model.model.1.lora_Bee.weight', tensors.get(KEY)!);
      tensors.delete(KEY);
    };
    await expect(load((tensors) => tensors.delete(KEY))).rejects.toThrow(`missing [${KEY}], unexpected []`);
    await expect(
      load((tensors) => tensors.set('more', { shape: [1], data: Float32Array.of(1) })),
    ).rejects.toThrow('missing [], unexpected [more]');
    await expect(load(rename)).rejects.toThrow(
      `missing [${KEY}], unexpected [base_model.model.1.lora_Bee.weight]`,
    );
    expect(lora.adapters).toEqual(['default']);
    expect(await load(rename, { strict: false })).toMatchObject({
      missing: [KEY],
      unexpected: ['base_model.model.1.lora_Bee.weight'],
    });
  });

  test('a file of another prefix applies to nothing, which is an error; the prefix is an option', async () => {
    const lora = attach(rt());
    stirAll(rt(), lora);
    const source = changed(lora, (tensors) => {
      for (const [key, tensor] of [...tensors]) {
        tensors.delete(key);
        tensors.set(key.replace('base_model.model.', 'model.'), tensor);
      }
    });
    for (const strict of [true, false])
      await expect(lora.loadAdapter('new', source, { strict })).rejects.toThrow(
        'nothing in the file applies',
      );
    await lora.loadAdapter('new', source, { prefix: 'model.' });
    expect(lora.exportAdapter('new')).toEqual(lora.exportAdapter('default'));
  });

  test("weights of the base in a file are the model's own, or the adapter is refused", async () => {
    const first = new Linear(rt(), 6, 5);
    const own = { shape: [5, 6], data: first.weight.toArray() as Float32Array<ArrayBuffer> };
    const lora = LoraModel.attach(new Sequential(first, new Linear(rt(), 5, 4)), CONFIG);
    stirAll(rt(), lora);
    const carry = (key: string, tensor: WritableTensor) =>
      changed(lora, (tensors) => tensors.set(`base_model.model.${key}`, tensor));
    lora.merge();
    for (const [name, key] of [
      ['wrapped', '0.base_layer.weight'],
      ['plain', '0.weight'],
    ] as const) {
      await lora.loadAdapter(name, carry(key, own));
      expect(lora.exportAdapter(name)).toEqual(lora.exportAdapter('default'));
    }
    const other = { ...own, data: own.data.map((v) => v + 1) };
    await expect(lora.loadAdapter('new', carry('0.base_layer.weight', other))).rejects.toThrow(
      "0.base_layer.weight has other values than the base's, expected the base that the adapter was trained over",
    );
    const longer = { shape: [6, 6], data: new Float32Array(36) };
    await expect(lora.loadAdapter('new', carry('0.base_layer.weight', longer))).rejects.toThrow(
      "is [6, 6] and the base's is [5, 6]",
    );
    const report = await lora.loadAdapter('new', carry('0.weight', other), { strict: false });
    expect(report.unexpected).toEqual(['base_model.model.0.weight']);
  });

  test('targets and patterns of a file that match nothing: an error, or listed; one layer at least', async () => {
    const lora = attach(rt());
    const files = changed(lora, () => {});
    const config = {
      ...(JSON.parse(files.config) as object),
      target_modules: ['0', '1', 'nix'],
      rank_pattern: { gone: 3 },
    };
    await expect(lora.loadAdapter('new', { ...files, config })).rejects.toThrow(
      "target 'nix' matches no layer",
    );
    const report = await lora.loadAdapter('new', { ...files, config }, { strict: false });
    expect(report.unmatched).toEqual(["target 'nix'", "rankPattern key 'gone'"]);
    expect(lora.report().adapters[1]!.unmatched).toEqual(report.unmatched);
    await expect(
      lora.loadAdapter(
        'none',
        { ...files, config: { ...config, target_modules: ['nix'] } },
        { strict: false },
      ),
    ).rejects.toThrow('expected at least one');
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
    const old = changed(lora, (tensors) => {
      tensors.set('base_model.model.0.bias', tensors.get('base_model.model.0.base_layer.bias')!);
      tensors.delete('base_model.model.0.base_layer.bias');
    });
    await lora.loadAdapter('old', old);
    lora.setAdapter('old');
    expect(valuesOf(rt(), lora, x)).toEqual(y);
  });

  test('a tensor of another dtype and a value that is not finite are refused by name', async () => {
    const lora = attach(rt());
    const wrong = changed(lora, (tensors) => tensors.set(KEY, { shape: [4, 2], data: new Int32Array(8) }));
    await expect(lora.loadAdapter('new', wrong)).rejects.toThrow(`tensor '${KEY}' is I32`);
    expect(lora.adapters).toEqual(['default']);
    const { B } = (lora.model.layers[1] as unknown as LoraLinear).factors('default');
    B.set(B.toArray().fill(Number.NaN, 0, 1));
    expect(() => lora.exportAdapter()).toThrow(FormatError);
    expect(() => lora.exportAdapter()).toThrow(KEY);
    const forced = lora.exportAdapter('default', { allowNonFinite: true });
    expect(parseSafetensors(forced['adapter_model.safetensors']).f32(KEY)[0]).toBeNaN();
  });

  test('every kind and option of an adapter round-trips, and its output with it', async () => {
    class Net extends Module {
      readonly wte = new Embedding(rt(), 9, 6);
      readonly norm = new LayerNorm(rt(), 6);
      readonly conv = new Conv2d(rt(), 2, 4, 3, { padding: 1, groups: 2 });
      readonly fc = new Linear(rt(), 4, 5, { fanInFanOut: true });
      override forward(ids: Tensor): Tensor {
        const images = this.norm.forward(this.wte.forward(ids));
        return this.fc.forward(mean(relu(this.conv.forward(images)), [2, 3]));
      }
    }
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
      const lora = LoraModel.attach(new Net(), config);
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
