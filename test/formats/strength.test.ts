/** Alpha and scale of every format, both ways: numbers that float32 holds, or an error that names the layer or field. */
import { describe, expect, test } from 'vitest';
import {
  type AdapterFormat,
  convert,
  deltaWeight,
  FormatError,
  formatPeftConfig,
  parsePeftConfig,
  readGguf,
  readKohya,
  readLoralib,
  readMlx,
  readPeft,
  type WritableTensor,
  writeGguf,
  writeKohya,
  writeLoralib,
  writeMlx,
  writePeft,
  writeSafetensors,
} from '../../src/formats/index.js';
import { makeFile, makeModule } from '../support/adapters.js';
import { ggufBytes } from '../support/gguf.js';

const NOT_FINITE = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e39];

const tensor = (shape: readonly number[], value = 1): WritableTensor => ({
  shape,
  data: new Float32Array(shape.reduce((size, n) => size * n, 1)).fill(value),
});
const bytes = (tensors: Record<string, WritableTensor>): Uint8Array =>
  writeSafetensors(Object.entries(tensors), { allowNonFinite: true });
const peftWeights = bytes({
  'base_model.model.q.lora_A.weight': tensor([2, 3]),
  'base_model.model.q.lora_B.weight': tensor([4, 2]),
});
const gguf = (alpha: number | string): Uint8Array =>
  ggufBytes({
    metadata: { 'general.type': 'adapter', 'adapter.type': 'lora', 'adapter.lora.alpha': alpha },
    tensors: {
      'q.lora_a': { sizes: [3, 2], type: 0, offset: 0 },
      'q.lora_b': { sizes: [2, 4], type: 0, offset: 32 },
    },
    data: 64,
  });
const kohya = (alpha: WritableTensor): Uint8Array =>
  bytes({
    'lora_unet_q.lora_down.weight': tensor([2, 3]),
    'lora_unet_q.lora_up.weight': tensor([4, 2]),
    'lora_unet_q.alpha': alpha,
  });
const mlx = (scale: string) =>
  readMlx({
    config: `{"lora_parameters":{"rank":2,"scale":${scale}}}`,
    weights: bytes({ 'q.lora_a': tensor([3, 2]), 'q.lora_b': tensor([2, 4]) }),
  });
const peft = (fields: string) =>
  readPeft({ config: `{"peft_type":"LORA","r":2,${fields}}`, weights: peftWeights });

describe('reading', () => {
  test.each(NOT_FINITE)('GGUF and kohya: alpha %d', async (alpha) => {
    await expect(readGguf(gguf(alpha))).rejects.toThrow(
      /^readGguf: adapter\.lora\.alpha is -?(?:NaN|Infinity)/,
    );
    expect(() => readKohya(kohya(tensor([], alpha)))).toThrow(
      /^readKohya: 'lora_unet_q\.alpha' is -?(?:NaN|Inf)/,
    );
  });

  test('GGUF: alpha as text; kohya: alpha as truth, and 0, which programs read differently', async () => {
    await expect(readGguf(gguf('8'))).rejects.toThrow(
      'adapter.lora.alpha is a string, expected a finite number',
    );
    const truth = { shape: [], data: Uint8Array.of(1), dtype: 'BOOL' };
    expect(() => readKohya(kohya(truth))).toThrow("'lora_unet_q.alpha' is NaN (BOOL)");
    expect(() => readKohya(kohya(tensor([], 0)))).toThrow("'lora_unet_q.alpha' is 0, which");
    expect((await readGguf(gguf(-3))).modules[0]).toMatchObject({ alpha: -3, scale: -1.5 });
  });

  test.each(['1e39', '-1e400', '"2"', 'null', 'true', '[2]'])('MLX: scale %s', (scale) => {
    expect(() => mlx(scale)).toThrow('lora_parameters.scale is no finite number, expected one');
  });

  test.each([
    ['"lora_alpha":1e400', 'lora_alpha is 1e400, expected a finite number'],
    ['"alpha_pattern":{"q":1e400}', "alpha_pattern 'q' is 1e400, expected finite numbers"],
    ['"alpha_pattern":{"q":"2"}', 'alpha_pattern \'q\' is "2", expected finite numbers'],
    ['"alpha_pattern":{"q":null}', "alpha_pattern 'q' is null, expected finite numbers"],
    ['"rank_pattern":{"q":2.5}', "rank_pattern 'q' is 2.5, expected integers from 1 up"],
    ['"rank_pattern":{"q":0}', "rank_pattern 'q' is 0, expected integers from 1 up"],
  ])('PEFT: %s', (fields, words) => {
    expect(() => peft(fields)).toThrow(words);
  });

  test('a given alpha', () => {
    const weights = bytes({ 'q.lora_A': tensor([2, 3]), 'q.lora_B': tensor([4, 2]) });
    for (const alpha of [...NOT_FINITE, '8' as never]) {
      expect(() => readLoralib(weights, { alpha }), String(alpha)).toThrow(/alpha.*(?:is|was)/);
      expect(() => readPeft({ config: null, weights: peftWeights }, { alpha })).toThrow(/alpha.*(?:is|was)/);
    }
  });
});

describe('writing', () => {
  const write: Record<AdapterFormat, (file: ReturnType<typeof makeFile>) => unknown> = {
    peft: (file) => writePeft(file),
    mlx: (file) => writeMlx(file),
    kohya: (file) => writeKohya(file),
    loralib: (file) => writeLoralib(file),
    gguf: (file) => writeGguf(file),
  };

  test.each(Object.keys(write) as AdapterFormat[])('%s: a scale or alpha that is no number', async (to) => {
    const good = makeModule('q', [4, 2, 3], 1);
    for (const value of [...NOT_FINITE, '2' as never, Object.create(null) as never]) {
      const files = [{ scale: value }, { alpha: value }].map((wrong) => makeFile([{ ...good, ...wrong }]));
      for (const file of files) {
        const made = (async () => write[to](file))();
        await expect(made).rejects.toThrow(FormatError);
        await expect(made).rejects.toThrow(
          /of 'q' is (\S+|an object), expected a finite number within float32/,
        );
      }
    }
  });

  test('a config: nothing becomes null', () => {
    const fields = { r: 2, loraAlpha: 2, targetModules: ['q'] };
    for (const wrong of [
      { loraAlpha: Number.NaN },
      { alphaPattern: new Map([['q', Number.POSITIVE_INFINITY]]) },
      { layersToTransform: [Number.NaN] },
    ])
      expect(() => formatPeftConfig({ ...fields, ...wrong })).toThrow(FormatError);
    expect(new TextDecoder().decode(formatPeftConfig(fields))).toContain('"lora_alpha": 2');
  });

  test('kohya: no change is written so that every program reads it so', () => {
    const file = readKohya(writeKohya(makeFile([makeModule('q', [4, 2, 3], 0)])));
    expect(file.modules[0]).toMatchObject({ alpha: 2, scale: 1 });
    expect(deltaWeight(file.modules[0]!).data.every((value) => value === 0)).toBe(true);
  });

  test('a delta of an impossible scale', () => {
    expect(() => deltaWeight(makeModule('q', [4, 2, 3], Number.NaN))).toThrow("of 'q' is NaN");
  });
});

describe('.alpha beside lora_A and lora_B', () => {
  const factors = (prefix: string) => ({
    [`${prefix}q.lora_A.weight`]: tensor([2, 3]),
    [`${prefix}q.lora_B.weight`]: tensor([4, 2]),
  });

  test.each(['', 'base_model.model.'])(
    "is read from PEFT's names, behind the prefix '%s'",
    async (prefix) => {
      const weights = bytes({ ...factors(prefix), [`${prefix}q.alpha`]: tensor([], 6) });
      const file = readPeft({ config: null, weights });
      expect(file.modules).toMatchObject([{ path: 'q', alpha: 6, scale: 3 }]);
      expect(file.extras).toEqual([]);
      expect(() => readPeft({ config: null, weights }, { alpha: 6 })).toThrow('the file has its own');
      const { files } = await convert({ weights, config: null }, { to: 'peft' });
      expect(parsePeftConfig(files.get('adapter_config.json')!).config.loraAlpha).toBe(6);
    },
  );

  test("is read from loralib's names, a given alpha for the layers without", () => {
    const weights = bytes({
      'q.lora_A': tensor([2, 3]),
      'q.lora_B': tensor([4, 2]),
      'q.alpha': tensor([1], 6),
      'k.lora_A': tensor([2, 3]),
      'k.lora_B': tensor([4, 2]),
    });
    const alphas = (options?: { alpha: number }) =>
      Object.fromEntries(readLoralib(weights, options).modules.map(({ path, alpha }) => [path, alpha]));
    expect(alphas()).toEqual({ q: 6, k: null });
    expect(alphas({ alpha: 4 })).toEqual({ q: 6, k: 4 });
  });

  test('agrees with the config, or is an error', () => {
    const prefix = 'base_model.model.';
    const weights = (alpha: number) => bytes({ ...factors(prefix), [`${prefix}q.alpha`]: tensor([], alpha) });
    const config = '{"peft_type":"LORA","r":2,"lora_alpha":6}';
    expect(readPeft({ config, weights: weights(6) }).extras).toEqual([]);
    expect(() => readPeft({ config, weights: weights(5) })).toThrow(
      "the file's alpha of 'q' is 5, expected 6 as adapter_config.json has it",
    );
  });
});
