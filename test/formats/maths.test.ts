/** What in a file changes the maths: metadata that is refused by name or understood, and parts of a layer. */
import { describe, expect, test } from 'vitest';
import {
  baseFromConfig,
  convert,
  parseSafetensors,
  readGguf,
  readKohya,
  readMlx,
  readPeft,
  type WritableTensor,
  writeGguf,
} from '../../src/formats/index.js';
import { makeFile, makeModule, numbers } from '../support/adapters.js';
import { bytesOf, tensorOf } from '../support/format-bytes.js';
import { ggufBytes, type HandTensor } from '../support/gguf.js';

describe('GGUF', () => {
  const plain = { 'general.type': 'adapter', 'adapter.type': 'lora', 'adapter.lora.alpha': 2 };
  const pair: Record<string, HandTensor> = {
    'q.weight.lora_a': { sizes: [3, 2], type: 0, offset: 0 },
    'q.weight.lora_b': { sizes: [2, 4], type: 0, offset: 32 },
  };
  const file = (metadata: Record<string, string | number>, more: Record<string, HandTensor> = {}) =>
    readGguf(ggufBytes({ metadata: { ...plain, ...metadata }, tensors: { ...pair, ...more }, data: 256 }));

  test('activated LoRA is refused by its metadata', async () => {
    await expect(file({ 'adapter.alora.invocation_tokens': 5 })).rejects.toThrow(
      /adapter\.alora\.invocation_tokens is set.*not implemented/,
    );
  });

  test('metadata of an adapter that nobody knows is a warning, names and prompts are none', async () => {
    const found = await file({ 'adapter.lora.task_name': 'x', 'adapter.lora.prompt_prefix': 'x' });
    expect(found.warnings).toEqual([]);
    expect((await file({ 'adapter.lora.gate': 1 })).warnings).toEqual([
      "readGguf: unknown metadata 'adapter.lora.gate' was not used",
    ]);
  });

  test('two tensors for one factor are an error, under two spellings and under two names with the base', async () => {
    await expect(file({}, { 'q.lora_a': { sizes: [3, 2], type: 0, offset: 64 } })).rejects.toThrow(
      "readGguf: 'q' has two tensors A, expected one",
    );
    const base = baseFromConfig('{"model_type":"qwen2","num_attention_heads":2}');
    const twice = ['blk.0.ffn_up', 'model.layers.0.mlp.up_proj'].flatMap((name, i) => [
      [`${name}.weight.lora_a`, { sizes: [3, 2], type: 0, offset: i * 64 }],
      [`${name}.weight.lora_b`, { sizes: [2, 4], type: 0, offset: i * 64 + 32 }],
    ]);
    const bytes = ggufBytes({ metadata: plain, tensors: Object.fromEntries(twice), data: 128 });
    await expect(readGguf(bytes, { base: { ...base, architecture: 'qwen2' } })).rejects.toThrow(
      /'model\.layers\.0\.mlp\.up_proj' has two tensors A|the adapter is for/,
    );
  });

  test.each(['q.weight', 'token_embd.weight'])('three dimensions of %s are not read as two', async (name) => {
    const more = {
      [`${name}2.lora_a`]: { sizes: [2, 2, 2], type: 0, offset: 64 },
      [`${name}2.lora_b`]: { sizes: [2, 2, 2], type: 0, offset: 96 },
    };
    await expect(file({}, more)).rejects.toThrow(`'${name}2.lora_a' is [2, 2, 2], expected 2 dimensions`);
    const tokens = {
      'token_embd.weight.lora_a': { sizes: [2, 4, 2], type: 0, offset: 64 },
      'token_embd.weight.lora_b': { sizes: [2, 3], type: 0, offset: 128 },
    };
    await expect(file({}, tokens)).rejects.toThrow("'token_embd.weight.lora_a' is [2, 4, 2]");
  });

  test('a path twice is not written', async () => {
    const twins = makeFile([makeModule('x', [4, 2, 3], 1), makeModule('x', [4, 2, 3], 1)]);
    await expect(writeGguf(twins)).rejects.toThrow('a path appears twice, expected each once');
  });
});

describe('MLX', () => {
  const weights = (block: number, more: Record<string, WritableTensor> = {}) =>
    bytesOf({
      [`model.layers.${block}.q.lora_a`]: tensorOf([3, 2]),
      [`model.layers.${block}.q.lora_b`]: tensorOf([2, 4]),
      'model.layers.3.q.lora_a': tensorOf([3, 2]),
      'model.layers.3.q.lora_b': tensorOf([2, 4]),
      ...more,
    });
  const read = (fields: string, file = weights(0)) => readMlx({ config: `{${fields}}`, weights: file });
  const scale = (more = ''): string => `"lora_parameters":{"rank":2,"scale":2${more}}`;

  test.each([
    [`"fine_tune_type":"full",${scale()}`, 'fine_tune_type is "full", expected "lora" or "dora"'],
    [`"fine_tune_type":"LoRA",${scale()}`, 'fine_tune_type is "LoRA"'],
    [`"fine_tune_type":"dora",${scale()}`, "'model.layers.0.q' has no magnitude 'model.layers.0.q.m'"],
    [`"use_dora":true,${scale()}`, 'has no magnitude'],
    [scale(',"alpha":16'), "lora_parameters.alpha is 16, which mlx-lm's versions read differently"],
    [scale(',"keys":["k"]'), "lora_parameters.keys does not name 'model.layers.0.q', expected it to"],
    [scale(',"keys":["q",7]'), 'lora_parameters.keys has 7, expected an array of names'],
    [`"num_layers":3,${scale()}`, 'num_layers is 3, and the file has layers of blocks 0 to 3'],
    [`"lora_layers":2,${scale()}`, 'num_layers is 2, and the file has layers of blocks 0 to 3'],
    [`"num_layers":"all",${scale()}`, 'num_layers is "all", expected an integer'],
  ])('%s is refused', (fields, words) => {
    expect(() => read(fields)).toThrow(words);
  });

  test.each([
    scale(',"alpha":2'),
    scale(',"keys":["q"]'),
    scale(',"keys":["model.layers.0.q","model.layers.3.q"]'),
    `"num_layers":4,${scale()}`,
    `"num_layers":-1,${scale()}`,
    `"num_layers":0,${scale()}`,
  ])('%s is read', (fields) => {
    expect(read(fields).modules).toMatchObject([{ scale: 2 }, { scale: 2 }]);
  });

  test('DoRA has its magnitudes, and its layers go as a whole or not at all', async () => {
    const file = weights(0, { 'model.layers.0.q.m': tensorOf([4]), 'model.layers.3.q.m': tensorOf([4]) });
    const found = read(`"fine_tune_type":"dora",${scale()}`, file);
    expect(found.extras.map(({ kind, layer }) => [kind, layer])).toEqual([
      ['magnitude', 'model.layers.0.q'],
      ['magnitude', 'model.layers.3.q'],
    ]);
    const mixed = weights(0, { 'model.layers.0.q.m': tensorOf([4]) });
    const input = { weights: mixed, config: new TextEncoder().encode(`{${scale()}}`) };
    await expect(convert(input, { to: 'peft' })).rejects.toThrow(
      "'model.layers.0.q' (its model.layers.0.q.m is part of it)",
    );
    const { dropped, files } = await convert(input, { to: 'peft', dropUnsupported: true });
    expect([...dropped.keys()]).toEqual(['model.layers.0.q', 'model.layers.0.q.m']);
    expect(parseSafetensors(files.get('adapter_model.safetensors')!).names.sort()).toEqual([
      'base_model.model.model.layers.3.q.lora_A.weight',
      'base_model.model.model.layers.3.q.lora_B.weight',
    ]);
  });

  test('factors of experts, of three dimensions, are refused by name', async () => {
    const file = weights(0, { 'e.lora_a': tensorOf([2, 2, 3]), 'e.lora_b': tensorOf([2, 4, 2]) });
    const input = { weights: file, config: new TextEncoder().encode(`{${scale()}}`) };
    await expect(convert(input, { to: 'peft' })).rejects.toThrow("'e.lora_a' (unknown");
  });
});

describe('kohya', () => {
  const layer = (name: string): Record<string, WritableTensor> => ({
    [`${name}.lora_down.weight`]: tensorOf([2, 3, 1, 1]),
    [`${name}.lora_up.weight`]: tensorOf([4, 2, 1, 1]),
    [`${name}.alpha`]: tensorOf([]),
  });
  const read = (metadata: Record<string, string>) => readKohya(bytesOf(layer('lora_unet_a'), metadata));

  test.each([
    [{ ss_network_module: 'networks.loha' }, "ss_network_module is 'networks.loha', expected a plain LoRA"],
    [{ ss_network_module: 'networks.lokr' }, "ss_network_module is 'networks.lokr'"],
    [{ ss_network_module: 'networks.oft_flux' }, "ss_network_module is 'networks.oft_flux'"],
    [{ ss_network_args: '{"algo": "loha", "conv_dim": 4}' }, 'ss_network_args has algo "loha"'],
    [{ ss_network_args: '{"algo": "LoKr"}' }, 'ss_network_args has algo "LoKr"'],
    [{ ss_network_args: '{"algo": "something-new"}' }, 'ss_network_args has algo "something-new"'],
    [{ ss_network_args: '{"algo": 7}' }, 'ss_network_args has algo 7'],
    [{ ss_network_args: '{"algo"' }, "ss_network_args: character 7 is the end, expected ':'"],
  ])('%j is refused by name', (metadata, words) => {
    expect(() => read(metadata)).toThrow(`readKohya: ${words}`);
  });

  test.each<Record<string, string>>([
    { ss_network_module: 'networks.lora', ss_network_args: '{"conv_dim": "4", "conv_alpha": "1"}' },
    { ss_network_module: 'networks.lora_flux', ss_network_alpha: '7', ss_network_dim: '2' },
    { ss_network_module: 'networks.dylora', ss_network_args: '{"unit": "4"}' },
    { ss_network_module: 'lycoris.kohya', ss_network_args: '{"algo": "LoCon", "rs_lora": "True"}' },
    { ss_network_args: '' },
  ])('%j says nothing that the tensors do not', (metadata) => {
    // Each layer's own .alpha counts; LyCORIS has rsLoRA in it already.
    const { alpha, scale } = read(metadata).modules[0]!;
    expect([alpha, scale]).toEqual([numbers(1, 0)[0], numbers(1, 0)[0]! / 2]);
  });

  test.each([
    ['lora_mid.weight', [2, 2, 3, 3]],
    ['dora_scale', [4, 1, 1, 1]],
    ['scalar', []],
  ])('with %s a layer is refused, or left out as a whole and by name', async (part, shape) => {
    const file = bytesOf({
      ...layer('lora_unet_a'),
      ...layer('lora_unet_b'),
      [`lora_unet_a.${part}`]: tensorOf(shape),
    });
    const input = { weights: file, config: null };
    await expect(convert(input, { to: 'peft' })).rejects.toThrow(`its lora_unet_a.${part} is part of it`);
    for (const to of ['peft', 'kohya'] as const) {
      const { dropped, files } = await convert(input, { to, dropUnsupported: true });
      expect([...dropped.keys()]).toEqual(['lora_unet_a', `lora_unet_a.${part}`]);
      const weights = [...files.values()].at(-1)!;
      expect(parseSafetensors(weights).names.some((name) => name.includes('lora_unet_a'))).toBe(false);
    }
  });
});

describe('DoRA in PEFT', () => {
  const factors = {
    'base_model.model.q.lora_A.weight': tensorOf([2, 3]),
    'base_model.model.q.lora_B.weight': tensorOf([4, 2]),
  };
  const config = new TextEncoder().encode('{"peft_type":"LORA","r":2,"use_dora":true}');

  test('a layer without its magnitude is refused', async () => {
    await expect(convert({ weights: bytesOf(factors), config }, { to: 'mlx' })).rejects.toThrow(
      "use_dora is set and 'q' has no magnitude",
    );
  });

  test('the magnitude belongs to its layer', () => {
    const weights = bytesOf({ ...factors, 'base_model.model.q.lora_magnitude_vector.weight': tensorOf([4]) });
    expect(readPeft({ config, weights }).extras).toMatchObject([{ kind: 'magnitude', layer: 'q' }]);
  });
});
