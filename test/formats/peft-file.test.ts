/** PEFT adapters read into the neutral description: strengths per layer, every kind of tensor, refusals. */
import { describe, expect, test } from 'vitest';
import {
  deltaNorm,
  deltaWeight,
  FormatError,
  parsePeftConfig,
  readPeft,
  writePeft,
} from '../../src/formats/index.js';
import { bytesOf, peftConfig, tensorOf } from '../support/format-bytes.js';

const P = 'base_model.model.';

describe('strength of each layer', () => {
  const layers = bytesOf({
    [`${P}a.q.lora_A.weight`]: tensorOf([4, 3]),
    [`${P}a.q.lora_B.weight`]: tensorOf([5, 4]),
    [`${P}b.q.lora_A.weight`]: tensorOf([2, 3]),
    [`${P}b.q.lora_B.weight`]: tensorOf([5, 2]),
  });

  test('rank and alpha by their patterns, first match first, and rsLoRA by the layer’s own rank', () => {
    const fields = {
      use_rslora: true,
      rank_pattern: { 'a.q': 4, q: 2 },
      alpha_pattern: { '^b': 1, 'b.q': 10, q: 8 },
    };
    const { modules } = readPeft({ config: peftConfig(fields), weights: layers });
    expect(modules.map(({ path, r, alpha, scale }) => [path, r, alpha, scale])).toEqual([
      ['a.q', 4, 8, 4],
      ['b.q', 2, 10, 10 / Math.SQRT2],
    ]);
  });

  test('without a config alpha is unknown unless it is given', () => {
    const unknown = readPeft({ config: null, weights: layers });
    expect(unknown.modules.map(({ alpha, scale }) => [alpha, scale])).toEqual([
      [null, null],
      [null, null],
    ]);
    expect(() => writePeft(unknown)).toThrow(
      "the alpha of 'a.q' is not in the file, expected it to be given",
    );
    expect(() => deltaWeight(unknown.modules[0]!)).toThrow("the alpha of 'a.q' is unknown");
    expect(deltaNorm(unknown.modules[0]!)).toBe(null);
    const given = readPeft({ config: null, weights: layers }, { alpha: 6 });
    expect(given.modules.map(({ scale }) => scale)).toEqual([1.5, 3]);
  });

  test.each([
    [peftConfig({}), undefined, "'a.q' has A [4, 3], expected the config's rank 2 first"],
    [peftConfig({ rank_pattern: { '(': 4 } }), undefined, "rank_pattern: '(' is no regular expression"],
    [peftConfig({ alpha_pattern: { ['x'.repeat(513)]: 4 } }), undefined, 'the pattern has 513 characters'],
    [peftConfig({}), 4, 'alpha 4 was given, but adapter_config.json has its own'],
    [{ lora_parameters: {} }, undefined, 'peft_type is missing, expected "LORA"'],
  ])('%j is refused', (json, alpha, words) => {
    const read = () => readPeft({ config: json, weights: layers }, alpha === undefined ? {} : { alpha });
    expect(read).toThrow(FormatError);
    expect(read).toThrow(words);
  });
});

describe('tensors', () => {
  test('layers of every kind, an adapter’s name in the key, names without the prefix', () => {
    const file = readPeft({
      config: peftConfig({ target_modules: ['x'] }),
      weights: bytesOf({
        'x.lora_A.default.weight': tensorOf([2, 3]),
        'x.lora_B.default.weight': tensorOf([5, 2]),
        'e.lora_embedding_A': tensorOf([2, 7]),
        'e.lora_embedding_B': tensorOf([4, 2]),
        'c.lora_A.weight': tensorOf([2, 3, 3, 1]),
        'c.lora_B.weight': tensorOf([6, 1, 1, 1]),
        'lora_A.weight.lora_A.weight': tensorOf([2, 3]),
        'lora_A.weight.lora_B.weight': tensorOf([2, 2]),
      }),
    });
    expect(file.modules.map(({ path, kind }) => [path, kind]).sort()).toEqual([
      ['c', 'conv2d'],
      ['e', 'embedding'],
      ['lora_A.weight', 'linear'],
      ['x', 'linear'],
    ]);
    expect(file.warnings).toEqual([expect.stringContaining("do not begin with 'base_model.model.'")]);
    expect(file.modules.map((module) => deltaWeight(module).shape).sort()).toEqual([
      [2, 3],
      [5, 3],
      [6, 3, 3, 1],
      [7, 4],
    ]);
  });

  test('what is no factor is kept by name, and written back with the options that belong to it', () => {
    const source = {
      config: peftConfig({
        use_dora: true,
        bias: 'all',
        lora_bias: true,
        modules_to_save: ['head'],
        custom: [1.5],
      }),
      weights: bytesOf({
        [`${P}q.lora_A.weight`]: tensorOf([2, 3]),
        [`${P}q.lora_B.weight`]: tensorOf([5, 2]),
        [`${P}q.lora_B.bias`]: tensorOf([5]),
        [`${P}q.lora_magnitude_vector`]: tensorOf([5]),
        [`${P}q.base_layer.bias`]: tensorOf([5]),
        [`${P}head.weight`]: tensorOf([2, 5]),
        [`${P}head.bias`]: tensorOf([2]),
        [`${P}norm.bias`]: tensorOf([2]),
        [`${P}t.token_adapter.trainable_tokens_delta`]: { shape: [1], data: BigInt64Array.of(3n) },
        [`${P}conv1.lora_A.weight`]: tensorOf([2, 3, 3]),
      }),
    };
    const file = readPeft(source);
    expect(Object.fromEntries(file.extras.map(({ name, kind }) => [name.slice(P.length), kind]))).toEqual({
      'q.lora_B.bias': 'lora_bias',
      'q.lora_magnitude_vector': 'magnitude',
      'q.base_layer.bias': 'bias',
      'head.weight': 'saved',
      'head.bias': 'saved',
      'norm.bias': 'bias',
      't.token_adapter.trainable_tokens_delta': 'unknown',
      'conv1.lora_A.weight': 'unknown',
    });
    const again = writePeft(file);
    expect(again['adapter_model.safetensors']).toEqual(source.weights);
    expect(parsePeftConfig(again['adapter_config.json']).config).toMatchObject({
      useDora: true,
      bias: 'all',
      loraBias: true,
      modulesToSave: ['head'],
    });
    expect(new TextDecoder().decode(again['adapter_config.json'])).toContain('"custom": [\n    1.5\n  ]');
    const plain = parsePeftConfig(writePeft({ ...file, extras: [] })['adapter_config.json']).config;
    expect(plain).toMatchObject({ useDora: false, bias: 'none', loraBias: false, modulesToSave: null });
  });

  test.each([
    [{ [`${P}q.lora_A.weight`]: tensorOf([2, 3]) }, "'q' has only A, expected A and B"],
    [{ [`${P}q.lora_B.weight`]: tensorOf([2, 3]) }, "'q' has only B, expected A and B"],
    [
      { [`${P}q.lora_A.weight`]: tensorOf([2, 3]), 'q.lora_B.weight': tensorOf([5, 2]) },
      "'q.lora_B.weight' does not begin with 'base_model.model.' as others do",
    ],
    [
      { [`${P}q.lora_A.weight`]: tensorOf([2, 3]), [`${P}q.lora_A.x.weight`]: tensorOf([2, 3]) },
      "'q' has two tensors A, expected one",
    ],
    [
      { [`${P}q.lora_A.weight`]: tensorOf([2, 3]), [`${P}q.lora_B.weight`]: tensorOf([5, 3]) },
      "'q' has A [2, 3] and B [5, 3], expected A [r, in] and B [out, r] of one rank",
    ],
    [
      { [`${P}q.lora_A.weight`]: tensorOf([2, 0]), [`${P}q.lora_B.weight`]: tensorOf([5, 2]) },
      'expected no empty dimension',
    ],
    [
      { [`${P}q.lora_A.weight`]: tensorOf([2, 3, 3, 3]), [`${P}q.lora_B.weight`]: tensorOf([5, 2, 3, 1]) },
      'expected A [r, in, h, w] and B [out, r / groups, 1, 1]',
    ],
  ])('%j is refused', (names, words) => {
    const read = () => readPeft({ config: peftConfig({}), weights: bytesOf(names) });
    expect(read).toThrow(FormatError);
    expect(read).toThrow(words);
  });
});
