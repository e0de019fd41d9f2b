/** Names of layers through every format, and as kohya writes them. */
import { describe, expect, test } from 'vitest';
import {
  convert,
  kohyaName,
  parseSafetensors,
  readKohya,
  readPeft,
  writeKohya,
  writePeft,
} from '../../src/formats/index.js';
import { expectSameDelta, makeFile, makeModule } from '../support/adapters.js';

describe('names', () => {
  const PREFIX = 'base_model.model.';

  test.each([
    'x',
    'model.layers.0.x',
    `${PREFIX}x`,
    'unet.down.x',
    'transformer.x',
    'lora_unet_x',
    'a.weight',
  ])("'%s' keeps its name through every format", async (path) => {
    const plain = makeFile([makeModule(path, [4, 2, 3], 0.5)], { format: 'mlx' });
    const peft = writePeft(plain);
    const bare = path.startsWith(PREFIX) ? path.slice(PREFIX.length) : path;
    expect(parseSafetensors(peft['adapter_model.safetensors']).names.sort()).toEqual(
      ['A', 'B'].map((letter) => `${PREFIX}${bare}.lora_${letter}.weight`),
    );
    const first = { weights: peft['adapter_model.safetensors'], config: peft['adapter_config.json'] };
    for (const to of ['mlx', 'gguf', 'loralib'] as const) {
      const { files } = await convert(first, { to });
      const weights = [...files].find(([name]) => name !== 'adapter_config.json')![1];
      const config = files.get('adapter_config.json') ?? null;
      const alpha = to === 'loralib' ? { alpha: 1 } : {};
      const back = await convert({ weights, config }, { to: 'peft', ...alpha });
      const { modules } = readPeft({
        config: back.files.get('adapter_config.json')!,
        weights: back.files.get('adapter_model.safetensors')!,
      });
      expect(
        modules.map((module) => module.path),
        to,
      ).toEqual([bare]);
    }
  });

  test("PEFT's own file keeps a prefix that a path has once more", () => {
    const file = makeFile([makeModule(`${PREFIX}x`, [4, 2, 3], 0.5)]);
    const { 'adapter_model.safetensors': weights, 'adapter_config.json': config } = writePeft(file);
    expectSameDelta(readPeft({ config, weights }), file);
  });

  test.each([
    ['unet.mid_block.proj', 'lora_unet_mid_block_proj'],
    ['diffusion_model.proj', 'lora_unet_proj'],
    ['text_encoder.text_model.encoder.layers.0.fc1', 'lora_te_text_model_encoder_layers_0_fc1'],
    ['text_encoder_2.encoder.layers.0.fc1', 'lora_te2_text_model_encoder_layers_0_fc1'],
    ['lora_transformer_blocks_0', 'lora_transformer_blocks_0'],
    ['lycoris_blocks_0', 'lycoris_blocks_0'],
    ['unet', 'lora_unet_unet'],
  ])("kohya's name of %s", (path, name) => {
    expect(kohyaName(path)).toBe(name);
    expect(kohyaName(name)).toBe(name);
  });

  test('of two text encoders both have a number', () => {
    const paths = ['text_encoder.text_model.a', 'text_encoder_2.text_model.a', 'unet.a'];
    const weights = writeKohya(makeFile(paths.map((path) => makeModule(path, [4, 2, 3], 1))));
    expect(
      readKohya(weights)
        .modules.map(({ path }) => path)
        .sort(),
    ).toEqual(['lora_te1_text_model_a', 'lora_te2_text_model_a', 'lora_unet_a']);
  });
});
