/** docs/peft.md says what is done with every field: held to what the code does. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { formatPeftConfig } from '../../src/formats/index.js';
import { createRuntime, Linear, type LoraConfig, LoraModel, Sequential } from '../../src/index.js';

const text = readFileSync(new URL('../../docs/peft.md', import.meta.url), 'utf8');
const table = new Map(
  [...text.matchAll(/^\| `(\w+)` \| (supported|kept|refused) \|/gm)].map((row) => [row[1]!, row[2]!]),
);
const rt = await createRuntime({ kernels: 'simd' });
const model = () => LoraModel.attach(new Sequential(new Linear(rt, 4, 3)), { r: 2, targetModules: ['0'] });
const written = (lora: LoraModel): Record<string, unknown> =>
  JSON.parse(new TextDecoder().decode(lora.exportAdapter()['adapter_config.json'])) as Record<
    string,
    unknown
  >;

/** A value that sets each field, none of them its default. */
const SET: Record<string, unknown> = {
  alpha_pattern: { 0: 3 },
  bias: 'all',
  exclude_modules: null,
  fan_in_fan_out: false,
  init_lora_weights: 'gaussian',
  layers_pattern: null,
  layers_to_transform: [],
  lora_alpha: 3,
  lora_bias: true,
  lora_dropout: 0.5,
  modules_to_save: null,
  peft_type: 'LORA',
  r: 2,
  rank_pattern: { 0: 2 },
  target_modules: ['0'],
  use_dora: false,
  use_rslora: true,
};

test('the table has every field that is written, and no other', () => {
  const fields = JSON.parse(
    new TextDecoder().decode(formatPeftConfig({ r: 1, loraAlpha: 1, targetModules: [] })),
  ) as object;
  expect([...table.keys()].sort()).toEqual(Object.keys(fields).sort());
});

test.each([...table].filter(([, status]) => status === 'refused'))(
  '%s, set, is refused by name',
  async (field) => {
    const lora = model();
    const config = { ...written(lora), [field]: { some: 1 } };
    const weights = lora.exportAdapter()['adapter_model.safetensors'];
    await expect(lora.loadAdapter('new', { config, weights })).rejects.toThrow(new RegExp(`\\b${field}\\b`));
  },
);

test.each([...table].filter(([field, status]) => status === 'kept' && field !== 'inference_mode'))(
  '%s is kept and written back',
  async (field) => {
    const lora = model();
    const value = field === 'task_type' ? 'SEQ_CLS' : 'something';
    const config = { ...written(lora), [field]: field.endsWith('config') ? { some: [1, 'x'] } : value };
    await lora.loadAdapter('new', { config, weights: lora.exportAdapter()['adapter_model.safetensors'] });
    const back = JSON.parse(
      new TextDecoder().decode(lora.exportAdapter('new')['adapter_config.json']),
    ) as Record<string, unknown>;
    expect(back[field]).toEqual(config[field as keyof typeof config]);
  },
);

test.each([...table].filter(([, status]) => status === 'supported'))(
  '%s is an option and comes back',
  async (field) => {
    expect(Object.hasOwn(SET, field), 'the test has a value for it').toBe(true);
    if (field === 'peft_type') return;
    const option = field.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    const config = { r: 2, targetModules: ['0'], [option]: SET[field] } as LoraConfig;
    if (field === 'layers_pattern' || field === 'layers_to_transform')
      Object.assign(config, { layersToTransform: [] });
    const lora = LoraModel.attach(new Sequential(new Linear(rt, 4, 3)), config);
    const files = lora.exportAdapter();
    const back = written(lora)[field];
    expect(back).toEqual(SET[field]);
    await lora.loadAdapter('again', files);
    expect(lora.exportAdapter('again')).toEqual(files);
  },
);
