/** What `config.json` and GGUF's metadata come to: transformers' defaults, the older and newer names of a field, and the same model told both ways. */
import { expect, test } from 'vitest';
import { createRuntime } from '../../src/index.js';
import { llama3Factors } from '../../src/models/config.js';
import { loadModel, type ModelConfig } from '../../src/models/index.js';
import { configFromHf } from '../../src/models/source/hf-config.js';
import { openModel } from '../../src/models/source/open-model.js';
import { folderFor, type StoredTiny, TINY_CONFIG, tinyFolder, tinyGguf } from '../support/tiny-model.js';

/** The config with other fields; undefined takes one out. */
const read = (fields: Readonly<Record<string, unknown>>): ModelConfig =>
  configFromHf('config.json', JSON.stringify({ ...TINY_CONFIG, ...fields }));

const factorsOf = (fields: Readonly<Record<string, unknown>>): number[] | null => {
  const { factors } = read(fields).rope;
  return factors === null ? null : [...factors];
};

const LLAMA3 = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 16 };

test('rotary positions have the same meaning in the older and the newer fields', () => {
  expect(read({ rope_theta: 5e5 }).rope).toEqual({ theta: 5e5, factors: null });
  expect(read({ rope_theta: undefined }).rope.theta).toBe(10_000);
  expect(
    read({ rope_theta: undefined, rope_parameters: { rope_theta: 7, rope_type: 'default' } }).rope.theta,
  ).toBe(7);
  // In the object it counts more than beside it; the older object more than the newer one, if there is anything in it.
  expect(read({ rope_theta: 5, rope_parameters: { rope_theta: 7 } }).rope.theta).toBe(7);
  expect(read({ rope_scaling: {}, rope_parameters: { rope_theta: 7 } }).rope.theta).toBe(7);
  expect(read({ rope_scaling: null, rope_parameters: { rope_theta: 7 } }).rope.theta).toBe(7);
  expect(read({ rope_scaling: { rope_theta: 8 }, rope_parameters: { rope_theta: 7 } }).rope.theta).toBe(8);
  for (const told of [
    { rope_scaling: { type: 'linear', factor: 2 } },
    { rope_scaling: { rope_type: 'linear', factor: 2 } },
    { rope_parameters: { rope_type: 'linear', factor: 2, rope_theta: 10_000 } },
  ])
    expect(factorsOf(told)).toEqual([2, 2, 2, 2]);
  const scaled = factorsOf({ rope_theta: 5e5, rope_scaling: { rope_type: 'llama3', ...LLAMA3 } });
  expect(factorsOf({ rope_parameters: { rope_theta: 5e5, rope_type: 'llama3', ...LLAMA3 } })).toEqual(scaled);
  const { original_max_position_embeddings: length, ...rest } = LLAMA3;
  expect(
    factorsOf({
      rope_theta: 5e5,
      original_max_position_embeddings: length,
      rope_scaling: { rope_type: 'llama3', ...rest, original_max_position_embeddings: 99 },
    }),
  ).toEqual(scaled);
});

test("Llama 3's factors: long waves by the factor, short ones by one, and between them a mixture", () => {
  const of = { factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalLength: 8192 };
  const found = llama3Factors(128, 5e5, of);
  const waves = Array.from(found, (_, j) => 8192 / (2 * Math.PI * 5e5 ** (j / 64)));
  found.forEach((factor, j) => {
    if (waves[j]! > 4) expect(factor).toBe(1);
    else if (waves[j]! < 1) expect(factor).toBe(8);
    else {
      const smooth = (waves[j]! - 1) / 3;
      expect(factor).toBeCloseTo(8 / (1 - smooth + 8 * smooth), 5);
    }
  });
  expect(new Set(found).size).toBeGreaterThan(5);
});

test('a field of the scaling that is not known refuses the model', () => {
  for (const [name, rope] of [
    ['rope_scaling.mrope_section', { rope_scaling: { rope_type: 'default', mrope_section: [1, 2] } }],
    ['rope_parameters.full_attention', { rope_parameters: { full_attention: { rope_theta: 1 } } }],
    [
      'rope_parameters.attention_factor',
      { rope_parameters: { rope_type: 'linear', factor: 2, attention_factor: 2 } },
    ],
    ['rope_scaling.rope_type', { rope_scaling: { type: 'dynamic', factor: 2 } }],
  ] as const)
    expect(() => read(rope)).toThrow(`config.json: ${name} is `);
});

test('windows: of every layer of Mistral, of those that Qwen names or counts, with the defaults of transformers', () => {
  const windows = (fields: Readonly<Record<string, unknown>>) => read(fields).windows;
  expect(windows({ sliding_window: 6 })).toEqual([null, null]);
  const mistral = { model_type: 'mistral' };
  expect(windows({ ...mistral, sliding_window: 6 })).toEqual([6, 6]);
  expect(windows({ ...mistral, sliding_window: null })).toEqual([null, null]);
  expect(windows(mistral)).toEqual([4096, 4096]);
  expect(() =>
    windows({ ...mistral, sliding_window: 6, layer_types: Array(2).fill('full_attention') }),
  ).toThrow("layer_types[0] is 'full_attention'");
  const qwen = { model_type: 'qwen2', use_sliding_window: true, sliding_window: 6 };
  expect(windows(qwen)).toEqual([null, null]);
  expect(windows({ ...qwen, max_window_layers: 1 })).toEqual([null, 6]);
  expect(windows({ ...qwen, max_window_layers: 0, use_sliding_window: false })).toEqual([null, null]);
  expect(windows({ ...qwen, layer_types: ['sliding_attention', 'full_attention'] })).toEqual([6, null]);
  expect(windows({ ...qwen, sliding_window: undefined, max_window_layers: 0 })).toEqual([4096, 4096]);
});

test('heads, biases and norms by kind', () => {
  expect(read({ num_key_value_heads: undefined }).numKeyValueHeads).toBe(4);
  expect(read({ model_type: 'qwen3', num_key_value_heads: null }).numKeyValueHeads).toBe(4);
  for (const kind of ['mistral', 'qwen2', 'qwen3'])
    expect(() => read({ model_type: kind, num_key_value_heads: undefined })).toThrow(
      'num_key_value_heads is missing',
    );
  expect(read({ model_type: 'qwen3' }).headDim).toBe(128);
  expect(read({ model_type: 'qwen3', head_dim: 20 }).headDim).toBe(20);
  expect(read({}).headDim).toBe(8);
  const parts = ({ qkvBias, outBias, mlpBias, qkNorm }: ModelConfig) => [qkvBias, outBias, mlpBias, qkNorm];
  expect(parts(read({}))).toEqual([false, false, false, false]);
  expect(parts(read({ attention_bias: true, mlp_bias: true }))).toEqual([true, true, true, false]);
  expect(parts(read({ model_type: 'qwen2' }))).toEqual([true, false, false, false]);
  expect(parts(read({ model_type: 'qwen3', attention_bias: true }))).toEqual([true, true, false, true]);
  expect(read({ eos_token_id: [2, 7] }).eosTokenIds).toEqual([2, 7]);
  expect(read({ eos_token_id: undefined }).eosTokenIds).toEqual([]);
});

test('what changes nothing is no reason to refuse', () => {
  const fields = {
    ...{
      pretraining_tp: 1,
      num_experts: 0,
      logit_scale: null,
      use_qk_norm: false,
      quantization_config: null,
    },
    ...{
      torch_dtype: 'bfloat16',
      use_cache: true,
      attention_dropout: 0,
      chunk_size_feed_forward: 0,
      anything: 'else',
    },
  };
  expect(read(fields)).toEqual(read({}));
});

const floats = (values: readonly number[]): Pick<StoredTiny, 'type' | 'bytes'> => ({
  type: 0,
  bytes: new Uint8Array(Float32Array.from(values).buffer),
});

test('GGUF tells the same model: sizes, linear scaling, factors of frequencies, a head of its own', async () => {
  const config = async (...changes: Parameters<typeof tinyGguf>): Promise<ModelConfig> =>
    (await openModel('test', new Blob([tinyGguf(...changes)]))).config;
  const { rmsNormEps, ...sizes } = await config();
  const { rmsNormEps: eps, ...wanted } = read({});
  expect(sizes).toEqual(wanted);
  expect(rmsNormEps).toBeCloseTo(eps, 10);
  const linear = { 'llama.rope.scaling.type': 'linear', 'llama.rope.scaling.factor': 2 };
  expect([...(await config({ metadata: linear })).rope.factors!]).toEqual([2, 2, 2, 2]);
  expect([...(await config({ metadata: { 'llama.rope.scale_linear': 4 } })).rope.factors!]).toEqual([
    4, 4, 4, 4,
  ]);
  const frequencies = (values: readonly number[]) => (all: Map<string, StoredTiny>) =>
    all.set('rope_freqs.weight', { sizes: [values.length], ...floats(values) });
  const told = await config({ tensors: frequencies([1, 1, 2, 8]) });
  expect([...told.rope.factors!]).toEqual([1, 1, 2, 8]);
  await expect(config({ tensors: frequencies([1, 2]) })).rejects.toThrow(
    "'rope_freqs.weight' has 2 elements, expected 4",
  );
  await expect(config({ tensors: frequencies([1, 0, 2, 8]) })).rejects.toThrow("'rope_freqs.weight' holds 0");
  const separate = await config({
    tensors: (all) => all.set('output.weight', all.get('token_embd.weight')!),
  });
  expect(separate.tieWordEmbeddings).toBe(false);
  const windowed = await config({ metadata: { 'llama.attention.sliding_window': 6 } });
  expect(windowed.windows).toEqual([6, 6]);
});

test('every kind of the family is loaded and computes', async () => {
  using rt = await createRuntime({ threads: 1 });
  for (const config of [
    { attention_bias: true, mlp_bias: true, tie_word_embeddings: false },
    { model_type: 'qwen2', max_window_layers: 1, use_sliding_window: true, sliding_window: 3 },
    { model_type: 'qwen3', head_dim: 6 },
    { model_type: 'mistral', sliding_window: 2, head_dim: 10 },
    { num_key_value_heads: 1, rope_scaling: { rope_type: 'llama3', ...LLAMA3 } },
  ]) {
    using loaded = await loadModel(rt, folderFor(config));
    const ids = rt.tensor(new Int32Array([3, 1, 4, 1, 5]), [1, 5]);
    const logits = rt.scope(() => loaded.model.forward(ids).toArray());
    expect(logits.every(Number.isFinite)).toBe(true);
    expect(new Set(logits).size).toBeGreaterThan(150);
    expect(tinyFolder().size).toBe(2);
  }
});
