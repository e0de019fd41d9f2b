/** PEFT adapters read into the neutral description and written from it: strengths per layer, every kind of tensor, refusals. */
import { describe, expect, test } from 'vitest';
import {
  deltaNorm,
  deltaWeight,
  FormatError,
  norm,
  parsePeftConfig,
  parseSafetensors,
  readPeft,
  type WritableTensor,
  writePeft,
  writeSafetensors,
} from '../../src/formats/index.js';
import { expectSameDelta, makeFile, makeModule, numbers } from '../support/adapters.js';

const tensor = (...shape: number[]): WritableTensor => ({
  shape,
  data: numbers(
    shape.reduce((a, b) => a * b, 1),
    shape.length,
  ),
});
const P = 'base_model.model.';
const weights = (names: Record<string, WritableTensor>): Uint8Array =>
  writeSafetensors(Object.entries(names));
const config = (fields: object): object => ({
  peft_type: 'LORA',
  r: 2,
  lora_alpha: 6,
  target_modules: ['q'],
  ...fields,
});
const files = ({
  'adapter_config.json': json,
  'adapter_model.safetensors': bytes,
}: ReturnType<typeof writePeft>) => ({
  config: json,
  weights: bytes,
});

describe('strength of each layer', () => {
  const layers = weights({
    [`${P}a.q.lora_A.weight`]: tensor(4, 3),
    [`${P}a.q.lora_B.weight`]: tensor(5, 4),
    [`${P}b.q.lora_A.weight`]: tensor(2, 3),
    [`${P}b.q.lora_B.weight`]: tensor(5, 2),
  });

  test('rank and alpha by their patterns, first match first, and rsLoRA by the layer’s own rank', () => {
    const fields = {
      use_rslora: true,
      rank_pattern: { 'a.q': 4, q: 2 },
      alpha_pattern: { '^b': 1, 'b.q': 10, q: 8 },
    };
    const { modules } = readPeft({ config: config(fields), weights: layers });
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
    [config({}), undefined, "'a.q' has A [4, 3], expected the config's rank 2 first"],
    [config({ rank_pattern: { '(': 4 } }), undefined, "rank_pattern: '(' is no regular expression"],
    [config({ alpha_pattern: { ['x'.repeat(513)]: 4 } }), undefined, 'the pattern has 513 characters'],
    [config({}), 4, 'alpha 4 was given, but adapter_config.json has its own'],
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
      config: config({ target_modules: ['x'] }),
      weights: weights({
        'x.lora_A.default.weight': tensor(2, 3),
        'x.lora_B.default.weight': tensor(5, 2),
        'e.lora_embedding_A': tensor(2, 7),
        'e.lora_embedding_B': tensor(4, 2),
        'c.lora_A.weight': tensor(2, 3, 3, 1),
        'c.lora_B.weight': tensor(6, 1, 1, 1),
        'lora_A.weight.lora_A.weight': tensor(2, 3),
        'lora_A.weight.lora_B.weight': tensor(2, 2),
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
      config: config({
        use_dora: true,
        bias: 'all',
        lora_bias: true,
        modules_to_save: ['head'],
        custom: [1.5],
      }),
      weights: weights({
        [`${P}q.lora_A.weight`]: tensor(2, 3),
        [`${P}q.lora_B.weight`]: tensor(5, 2),
        [`${P}q.lora_B.bias`]: tensor(5),
        [`${P}q.lora_magnitude_vector`]: tensor(5),
        [`${P}q.base_layer.bias`]: tensor(5),
        [`${P}head.weight`]: tensor(2, 5),
        [`${P}head.bias`]: tensor(2),
        [`${P}norm.bias`]: tensor(2),
        [`${P}t.token_adapter.trainable_tokens_delta`]: { shape: [1], data: BigInt64Array.of(3n) },
        [`${P}conv1.lora_A.weight`]: tensor(2, 3, 3),
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
    [{ [`${P}q.lora_A.weight`]: tensor(2, 3) }, "'q' has only A, expected A and B"],
    [{ [`${P}q.lora_B.weight`]: tensor(2, 3) }, "'q' has only B, expected A and B"],
    [
      { [`${P}q.lora_A.weight`]: tensor(2, 3), 'q.lora_B.weight': tensor(5, 2) },
      "'q.lora_B.weight' does not begin with 'base_model.model.' as others do",
    ],
    [
      { [`${P}q.lora_A.weight`]: tensor(2, 3), [`${P}q.lora_A.x.weight`]: tensor(2, 3) },
      "'q' has two tensors A, expected one",
    ],
    [
      { [`${P}q.lora_A.weight`]: tensor(2, 3), [`${P}q.lora_B.weight`]: tensor(5, 3) },
      "'q' has A [2, 3] and B [5, 3], expected A [r, in] and B [out, r] of one rank",
    ],
    [
      { [`${P}q.lora_A.weight`]: tensor(2, 0), [`${P}q.lora_B.weight`]: tensor(5, 2) },
      'expected no empty dimension',
    ],
    [
      { [`${P}q.lora_A.weight`]: tensor(2, 3, 3, 3), [`${P}q.lora_B.weight`]: tensor(5, 2, 3, 1) },
      'expected A [r, in, h, w] and B [out, r / groups, 1, 1]',
    ],
  ])('%j is refused', (names, words) => {
    const read = () => readPeft({ config: config({}), weights: weights(names) });
    expect(read).toThrow(FormatError);
    expect(read).toThrow(words);
  });
});

describe('writing', () => {
  test('mixed ranks and scales, without a config: patterns that name one layer each', () => {
    const file = makeFile([
      makeModule('l.1.q', [5, 2, 3], 0.5),
      makeModule('l.1.k', [4, 2, 3], 0.5),
      makeModule('x.l.1.q', [5, 4, 3], 2),
      makeModule('lx1.q', [3, 1, 2], 8),
      makeModule('e', [4, 2, 9], 0.5, 'embedding'),
      makeModule('c', [6, 2, 3, 3, 3], 0.5, 'conv2d', 2),
    ]);
    const again = readPeft(files(writePeft(file)));
    expectSameDelta(again, file);
    expect(again.config).toMatchObject({ r: 2, loraAlpha: 1 });
    expect([...again.config!.rankPattern]).toEqual([
      ['^x\\.l\\.1\\.q', 4],
      ['^lx1\\.q', 1],
    ]);
  });

  test('a config that still fits is kept, rsLoRA with it', () => {
    const module = { ...makeModule('q', [5, 16, 3], 4), alpha: 16 };
    const { config: rslora } = parsePeftConfig({ ...config({ use_rslora: true }), r: 16, lora_alpha: 16 });
    const again = readPeft(files(writePeft(makeFile([module], { config: rslora }))));
    expect(again.config).toMatchObject({ useRslora: true, loraAlpha: 16, targetModules: ['q'] });
    expectSameDelta(again, makeFile([module]));
    const changed = { ...module, scale: 3 };
    const other = readPeft(files(writePeft(makeFile([changed], { config: rslora }))));
    expect(other.config).toMatchObject({ useRslora: false, loraAlpha: 48 });
    expectSameDelta(other, makeFile([changed]));
  });

  test('a weight that is not finite is refused by name, unless it is asked for', () => {
    const module = makeModule('q', [5, 2, 3], 1);
    module.B.data[3] = Number.NaN;
    expect(() => writePeft(makeFile([module]))).toThrow(
      "tensor 'base_model.model.q.lora_B.weight': element 3 is NaN, expected finite values",
    );
    const forced = writePeft(makeFile([module]), { allowNonFinite: true });
    expect(parseSafetensors(forced['adapter_model.safetensors']).f32(`${P}q.lora_B.weight`)[3]).toBeNaN();
  });

  test('nothing to write, and a tensor that PEFT has no name for', () => {
    expect(() => writePeft(makeFile([]))).toThrow('the adapter has no LoRA layer');
    const extras = [{ name: 'x.dora_scale', kind: 'magnitude', tensor: tensor(3) }] as const;
    expect(() => writePeft(makeFile([makeModule('q', [5, 2, 3], 1)], { extras }))).toThrow(
      "cannot hold 'x.dora_scale' (magnitude, not under a name of PEFT's)",
    );
  });
});

test.each([
  makeModule('q', [5, 2, 3], -0.5),
  makeModule('e', [4, 2, 9], 3, 'embedding'),
  makeModule('c', [6, 4, 3, 2, 1], 2, 'conv2d'),
  makeModule('g', [6, 4, 3, 2, 1], 2, 'conv2d', 2),
])('the norm of the delta is that of the delta formed: $path', (module) => {
  const whole = norm(deltaWeight(module));
  expect(whole).toBeGreaterThan(1);
  expect(Math.abs(deltaNorm(module)! - whole)).toBeLessThan(whole * 1e-6);
});

test('a delta by hand: linear, embedding, and a convolution of two groups', () => {
  const pair = (a: number[], b: number[], A: number[], B: number[]) => ({
    A: { shape: a, data: Float32Array.from(A) },
    B: { shape: b, data: Float32Array.from(B) },
    r: a[0]!,
    alpha: null,
    scale: 2,
    path: '',
  });
  const plain = pair([1, 2], [3, 1], [1, 10], [1, 2, 3]);
  expect([...deltaWeight({ ...plain, kind: 'linear' }).data]).toEqual([2, 20, 4, 40, 6, 60]);
  expect([...deltaWeight({ ...plain, kind: 'embedding' }).data]).toEqual([2, 4, 6, 20, 40, 60]);
  const grouped = pair([2, 1, 1, 1], [4, 1, 1, 1], [1, 10], [1, 2, 3, 4]);
  expect([...deltaWeight({ ...grouped, kind: 'conv2d' }).data]).toEqual([2, 4, 60, 80]);
});
