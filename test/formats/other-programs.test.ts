/** loralib, kohya and MLX files: what is in them byte for byte, and that writing and reading keeps every delta. */
import { describe, expect, test } from 'vitest';
import {
  deltaWeight,
  FormatError,
  kohyaName,
  parseSafetensors,
  readKohya,
  readLoralib,
  readMlx,
  type WritableTensor,
  writeKohya,
  writeLoralib,
  writeMlx,
} from '../../src/formats/index.js';
import { expectSameDelta, makeFile, makeModule } from '../support/adapters.js';
import { bytesOf } from '../support/format-bytes.js';

const tensor = (shape: number[], data: number[]): WritableTensor => ({
  shape,
  data: Float32Array.from(data),
});

const linear = [
  makeModule('model.layers.0.q', [5, 2, 3], 0.5),
  makeModule('model.layers.0.k', [4, 3, 7], 2),
  makeModule('model.layers.1.q', [5, 16, 3], 4),
];
const embedding = makeModule('model.embed_tokens', [4, 2, 9], 3, 'embedding');
const conv = makeModule('down.conv', [6, 2, 3, 3, 3], 0.25, 'conv2d');

describe('loralib', () => {
  test('a file by hand: alpha is unknown until it is given', () => {
    const file = bytesOf({ 'q.lora_A': tensor([1, 2], [1, 10]), 'q.lora_B': tensor([3, 1], [1, 2, 3]) });
    expect(readLoralib(file).modules[0]).toMatchObject({ path: 'q', alpha: null, scale: null });
    const given = readLoralib(file, { alpha: 2 });
    expect([...deltaWeight(given.modules[0]!).data]).toEqual([2, 20, 4, 40, 6, 60]);
  });

  test('differing alphas are multiplied into B', () => {
    const file = makeFile([...linear, embedding]);
    const { weights, alpha } = writeLoralib(file);
    expect(parseSafetensors(weights).names).toContain('model.layers.0.q.lora_A');
    expectSameDelta(readLoralib(weights, { alpha }), file);
  });

  test('what it cannot hold', () => {
    expect(() => writeLoralib(makeFile([conv]))).toThrow("cannot hold 'down.conv' (loralib's convolutions");
    const merged = bytesOf({
      'q.lora_A': tensor([2, 2], [1, 2, 3, 4]),
      'q.lora_B': tensor([3, 1], [1, 2, 3]),
    });
    expect(() => readLoralib(merged)).toThrow(FormatError);
  });
});

describe('kohya', () => {
  test('a file by hand: alpha, no alpha, a convolution, text encoder, what is no factor', () => {
    const file = readKohya(
      bytesOf({
        'lora_unet_a_to_q.lora_down.weight': tensor([2, 2], [1, 0, 0, 1]),
        'lora_unet_a_to_q.lora_up.weight': tensor([3, 2], [1, 2, 3, 4, 5, 6]),
        'lora_unet_a_to_q.alpha': tensor([], [1]),
        'lora_te_b.lora_down.weight': tensor([2, 1], [1, 2]),
        'lora_te_b.lora_up.weight': tensor([1, 2], [3, 4]),
        'lora_unet_c.lora_down.weight': tensor([1, 1, 1, 2], [1, 10]),
        'lora_unet_c.lora_up.weight': tensor([2, 1, 1, 1], [1, 2]),
        'lora_unet_c.alpha': { shape: [1], data: Int32Array.of(3) },
        'lora_unet_a_to_q.dora_scale': tensor([3], [1, 1, 1]),
        'lora_unet_d.hada_w1_a': tensor([1], [1]),
      }),
    );
    const deltas = file.modules.map((module) => [module.path, module.alpha, [...deltaWeight(module).data]]);
    expect(deltas.sort()).toEqual([
      ['lora_te_b', 2, [11]],
      ['lora_unet_a_to_q', 1, [0.5, 1, 1.5, 2, 2.5, 3]],
      ['lora_unet_c', 3, [3, 30, 6, 60]],
    ]);
    expect(file.extras.map(({ kind }) => kind).sort()).toEqual(['magnitude', 'unknown']);
  });

  test('mixed ranks and alphas, round trip', () => {
    const file = makeFile([...linear, conv, makeModule('text_model.fc1', [3, 1, 2], 7)]);
    const again = readKohya(writeKohya(file));
    const named = (path: string) =>
      `${path.startsWith('text_model') ? 'lora_te' : 'lora_unet'}_${path.replaceAll('.', '_')}`;
    expectSameDelta(again, file, named);
    expectSameDelta(readKohya(writeKohya(again)), again);
  });

  test.each([
    ['text_model.encoder.layers.0.self_attn.q_proj', 'lora_te_text_model_encoder_layers_0_self_attn_q_proj'],
    ['encoder.layers.0.self_attn.q_proj', 'lora_te_text_model_encoder_layers_0_self_attn_q_proj'],
    ['mid_block.attentions.0.proj_in', 'lora_unet_mid_block_attentions_0_proj_in'],
    ['lora_te2_text_model_encoder_layers_0_mlp_fc1', 'lora_te2_text_model_encoder_layers_0_mlp_fc1'],
  ])('%s is named %s', (path, name) => {
    expect(kohyaName(path)).toBe(name);
  });

  test('what it cannot hold, and names that become one', () => {
    expect(() => writeKohya(makeFile([embedding]))).toThrow('kohya files have no embeddings');
    const grouped = makeModule('g', [6, 4, 3, 1, 1], 1, 'conv2d', 2);
    expect(() => writeKohya(makeFile([grouped]))).toThrow("'g' (a grouped convolution)");
    const twins = [makeModule('a.b_c', [3, 1, 2], 1), makeModule('a_b.c', [3, 1, 2], 1)];
    expect(() => writeKohya(makeFile(twins))).toThrow(
      "'a.b_c' and 'a_b.c' are both 'lora_unet_a_b_c', expected two names",
    );
    const file = bytesOf({ 'x.alpha': tensor([2], [1, 2]) });
    expect(() => readKohya(file)).toThrow("'x.alpha' is [2], expected one number");
  });
});

describe('MLX', () => {
  const config =
    '{"fine_tune_type":"lora","num_layers":1,"lora_parameters":{"rank":1,"scale":2.0,"dropout":0.0}}';

  test('a file by hand, not square: lora_a [in, r], lora_b [r, out], scale as it stands', () => {
    const weights = bytesOf({
      'layers.0.q.lora_a': tensor([2, 2], [1, 0, 0, 1]),
      'layers.0.q.lora_b': tensor([2, 3], [1, 2, 3, 4, 5, 6]),
      'layers.0.q.m': tensor([3], [1, 1, 1]),
    });
    const { modules, extras } = readMlx({ config, weights });
    expect(modules[0]).toMatchObject({ path: 'layers.0.q', r: 2, scale: 2, alpha: 4, A: { shape: [2, 2] } });
    expect(modules[0]!.B.shape).toEqual([3, 2]);
    expect([...deltaWeight(modules[0]!).data]).toEqual([2, 8, 4, 10, 6, 12]);
    expect(extras.map(({ kind }) => kind)).toEqual(['magnitude']);
  });

  test('differing scales and ranks: one scale, one rank, the same deltas', () => {
    const file = makeFile([...linear, embedding]);
    const files = writeMlx(file);
    const json = files['adapter_config.json'];
    expect(JSON.parse(new TextDecoder().decode(json))).toEqual({
      fine_tune_type: 'lora',
      lora_parameters: { dropout: 0, keys: ['k', 'model.embed_tokens', 'q'], rank: 16, scale: 1 },
      num_layers: -1,
    });
    const weights = files['adapters.safetensors'];
    expect(parseSafetensors(weights).info('model.layers.0.k.lora_a').shape).toEqual([7, 16]);
    expectSameDelta(readMlx({ config: json, weights }), file);
  });

  test('one scale is kept beside the factors', () => {
    const files = writeMlx(makeFile([linear[1]!]));
    expect(new TextDecoder().decode(files['adapter_config.json'])).toContain('"scale": 2');
    expect(parseSafetensors(files['adapters.safetensors']).info('model.layers.0.k.lora_b').shape).toEqual([
      3, 4,
    ]);
  });

  test.each([
    ['{"fine_tune_type":"full"}', 'fine_tune_type is "full"'],
    ['{"lora_parameters":{"rank":1}}', 'lora_parameters.scale is no finite number'],
    ['[]', 'fine_tune_type is null'],
  ])('%s is refused', (json, words) => {
    expect(() => readMlx({ config: json, weights: bytesOf({}) })).toThrow(words);
  });

  test('a convolution is refused, and an unknown alpha', () => {
    expect(() => writeMlx(makeFile([conv]))).toThrow('mlx-lm adapts no convolutions');
    expect(() => writeMlx(makeFile([makeModule('q', [3, 1, 2], null)]))).toThrow("the alpha of 'q'");
  });

  test('an embedding that is the head too is refused', () => {
    expect(() => writeMlx(makeFile([embedding]), { tied: true })).toThrow(
      "'model.embed_tokens' (mlx-lm adapts the head with an embedding that is both)",
    );
  });
});
