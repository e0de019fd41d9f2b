/** Adapters to bytes and back: bit for bit, strict by default, and nothing changed when a file does not fit. */
import { expect, test } from 'vitest';
import { parsePeftConfig, parseSafetensors, writeSafetensors } from '../../src/formats/index.js';
import {
  AdapterError,
  FormatError,
  Linear,
  type LoraLinear,
  LoraModel,
  type Runtime,
  Sequential,
} from '../../src/index.js';
import { describeRuntimes } from '../support/runtimes.js';

const CONFIG = {
  r: 3,
  loraAlpha: 5,
  useRslora: true,
  loraDropout: 0.1,
  targetModules: ['0', '1'],
  initLoraWeights: false,
} as const;

function make(rt: Runtime): LoraModel<Sequential> {
  return LoraModel.attach(new Sequential(new Linear(rt, 6, 5), new Linear(rt, 5, 4)), CONFIG);
}

describeRuntimes('adapter files', (rt) => {
  test('what is exported loads again, bit for bit, and does not train', async () => {
    const lora = make(rt());
    const files = lora.exportAdapter();
    const { config } = parsePeftConfig(files['adapter_config.json']);
    expect(config).toMatchObject({
      r: 3,
      loraAlpha: 5,
      useRslora: true,
      loraDropout: 0.1,
      targetModules: ['0', '1'],
      initLoraWeights: false,
    });
    const file = parseSafetensors(files['adapter_model.safetensors']);
    expect(file.names).toEqual(
      [0, 1].flatMap((i) => ['A', 'B'].map((f) => `base_model.model.${i}.lora_${f}.weight`)),
    );
    expect(file.info('base_model.model.0.lora_A.weight').shape).toEqual([3, 6]);
    for (const name of ['lora', 'lora_A', 'weight', '__proto__']) {
      expect(await lora.loadAdapter(name, files)).toEqual({
        ...{ missing: [], unexpected: [], unmatched: [], warnings: [] },
      });
      expect(lora.exportAdapter(name)).toEqual(files);
    }
    const layer = lora.model.layers[0] as unknown as LoraLinear;
    expect(layer.factors('weight').A.requiresGrad).toBe(false);
    expect(layer.factors('default').A.requiresGrad).toBe(true);
    expect(lora.activeAdapters).toEqual(['default']);
  });

  test('what does not fit is an error with lists, and leaves no adapter behind', async () => {
    const lora = make(rt());
    const files = lora.exportAdapter();
    const config = JSON.parse(new TextDecoder().decode(files['adapter_config.json'])) as object;
    const file = parseSafetensors(files['adapter_model.safetensors']);
    const tensors = new Map(
      file.names.map((name) => [name, { shape: file.info(name).shape, data: file.f32(name) }]),
    );
    const load = (change: (all: typeof tensors) => void, options = {}) => {
      const all = new Map(tensors);
      change(all);
      return lora.loadAdapter('new', { config, weights: writeSafetensors(all) }, options);
    };
    const key = 'base_model.model.1.lora_B.weight';
    await expect(load((all) => all.delete(key))).rejects.toThrow(`missing [${key}]`);
    await expect(load((all) => all.set('more', { shape: [1], data: Float32Array.of(1) }))).rejects.toThrow(
      'unexpected [more]',
    );
    await expect(load((all) => all.set(key, { shape: [3, 4], data: new Float32Array(12) }))).rejects.toThrow(
      /is \[3, 4\], expected \[4, 3\]/,
    );
    await expect(load(() => {}, { prefix: 'model.' })).rejects.toThrow(/nothing in the file applies/);
    await expect(load(() => {}, { prefix: 'model.', strict: false })).rejects.toThrow(
      /nothing in the file applies/,
    );
    expect(lora.adapters).toEqual(['default']);
    const report = await load((all) => all.delete(key), { strict: false });
    expect(report.missing).toEqual([key]);
    expect(lora.adapters).toEqual(['default', 'new']);
  });

  test('options in a file that are none are an error of the file, not of the call', async () => {
    const lora = make(rt());
    const files = lora.exportAdapter();
    const config = JSON.parse(new TextDecoder().decode(files['adapter_config.json'])) as object;
    const bad = new TextEncoder().encode(JSON.stringify({ ...config, target_modules: ['0', ''] }));
    await expect(lora.loadAdapter('bad', { ...files, 'adapter_config.json': bad })).rejects.toThrow(
      new AdapterError("LoraModel.loadAdapter: targetModules holds '', expected names"),
    );
    expect(lora.adapters).toEqual(['default']);
  });

  test('options that change the maths are refused by name', async () => {
    const lora = make(rt());
    const files = lora.exportAdapter();
    const config = JSON.parse(new TextDecoder().decode(files['adapter_config.json'])) as object;
    const weights = files['adapter_model.safetensors'];
    for (const [field, value, type] of [
      ['target_modules', null, AdapterError],
      ['init_lora_weights', 'mica', AdapterError],
      ['init_lora_weights', 'corda', AdapterError],
      ['init_lora_weights', 'pissa_niter_4', AdapterError],
      ['use_qalora', true, FormatError],
      ['layer_replication', [[0, 1]], FormatError],
      ['r', 0, FormatError],
      ['r', 1.5, FormatError],
      ['lora_dropout', 1.5, FormatError],
      ['peft_type', 'IA3', FormatError],
    ] as const) {
      const loading = lora.loadAdapter('new', { config: { ...config, [field]: value }, weights });
      await expect(loading, field).rejects.toThrow(type);
      await expect(loading, field).rejects.toThrow(new RegExp(`\\b${field}\\b`));
    }
    const report = await lora.loadAdapter('kept', { config: { ...config, from_tomorrow: [1] }, weights });
    expect(report.warnings.join()).toContain('from_tomorrow');
    expect(new TextDecoder().decode(lora.exportAdapter('kept')['adapter_config.json'])).toContain(
      'from_tomorrow',
    );
  });
});
