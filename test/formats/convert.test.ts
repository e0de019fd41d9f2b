/** Every format to every format: the change of each layer stays. And what is refused, left out, or has to be given. */
import { describe, expect, test } from 'vitest';
import {
  type AdapterBytes,
  type AdapterFormat,
  baseFromConfig,
  convert,
  detectFormat,
  FormatError,
  kohyaName,
  parsePeftConfig,
  readAdapter,
  type WritableTensor,
  writeKohya,
  writePeft,
  writeSafetensors,
} from '../../src/formats/index.js';
import { expectSameDelta, makeFile, makeModule } from '../support/adapters.js';

const FORMATS: readonly AdapterFormat[] = ['peft', 'mlx', 'gguf', 'kohya', 'loralib'];
const llama = baseFromConfig('{"model_type":"llama","num_attention_heads":2,"num_key_value_heads":1}');

const plain = makeFile([
  makeModule('model.layers.0.self_attn.q_proj', [8, 2, 5], 0.5),
  makeModule('model.layers.0.self_attn.k_proj', [4, 3, 5], 2),
  makeModule('model.layers.1.mlp.down_proj', [5, 16, 7], 1 / 3),
]);
const { config: rslora } = parsePeftConfig({
  peft_type: 'LORA',
  r: 16,
  lora_alpha: 16,
  use_rslora: true,
  rank_pattern: { k_proj: 3 },
  target_modules: ['q_proj', 'k_proj'],
});
const stabilised = makeFile(
  [
    { ...makeModule('model.layers.0.self_attn.q_proj', [8, 16, 5], 4), alpha: 16 },
    { ...makeModule('model.layers.0.self_attn.k_proj', [4, 3, 5], 16 / Math.sqrt(3)), alpha: 16 },
  ],
  { config: rslora },
);

function found(files: ReadonlyMap<string, Uint8Array>): AdapterBytes {
  const weights = [...files].find(([name]) => name !== 'adapter_config.json')![1];
  return { weights, config: files.get('adapter_config.json') ?? null };
}

/** The alpha of a loralib file stands in the warning alone. */
const alphaIn = (warnings: readonly string[]): { alpha: number } | object => {
  const text = /with alpha (\S+)$/.exec(warnings.join('\n'))?.[1];
  return text === undefined ? {} : { alpha: Number(text) };
};

test.each(['lora_embedding_B', 'lora_embedding_B.default', 'lora_A.weight', 'lora_B.other.weight'])(
  'an adapter without a config is PEFT’s by a factor that it calls %s, as its reader reads it',
  (slot) => {
    const tensor = { shape: [1, 1], data: Float32Array.of(1) };
    const bytes = (name: string) => ({ weights: writeSafetensors([[name, tensor]]), config: null });
    expect(detectFormat(bytes(`a.${slot}`))).toBe('peft');
    expect(() => detectFormat(bytes('a.lora_magnitude_vector'))).toThrow(
      'no tensor has a name of a LoRA factor',
    );
  },
);

describe.each([
  ['mixed ranks and alphas', plain],
  ['rsLoRA', stabilised],
])('%s', (_, file) => {
  const peft = found(new Map(Object.entries(writePeft(file))));

  test.each(FORMATS.flatMap((from) => FORMATS.map((to) => [from, to] as const)))(
    '%s to %s: the same delta',
    async (from, to) => {
      const first = await convert(peft, { to: from, base: llama });
      const rename = from === 'kohya' || to === 'kohya' ? kohyaName : undefined;
      expect(detectFormat(found(first.files))).toBe(from);
      // kohya's names are no layers of Llama: that way to GGUF goes without a base.
      const base = from === 'kohya' ? null : llama;
      const second = await convert(found(first.files), { to, base, ...alphaIn(first.warnings) });
      expect(detectFormat(found(second.files))).toBe(to);
      const again = await readAdapter(found(second.files), { base, ...alphaIn(second.warnings) }).catch(
        (error: unknown) => {
          throw new Error(`${from} to ${to}`, { cause: error });
        },
      );
      expectSameDelta(again, file, rename);
    },
  );
});

const values = (n: number): WritableTensor => ({ shape: [n], data: new Float32Array(n).fill(1) });
const extras = [
  { name: 'base_model.model.q.lora_magnitude_vector', kind: 'magnitude', tensor: values(5) },
  { name: 'base_model.model.head.weight', kind: 'saved', tensor: values(4) },
  { name: 'base_model.model.q.lora_B.bias', kind: 'lora_bias', tensor: values(5) },
  { name: 'base_model.model.norm.bias', kind: 'bias', tensor: values(5) },
] as const;
const { config } = parsePeftConfig({ peft_type: 'LORA', r: 2, lora_alpha: 2, modules_to_save: ['head'] });
const full = makeFile(
  [
    makeModule('plain', [4, 2, 3], 1),
    makeModule('q', [5, 2, 3], 1),
    makeModule('c', [6, 2, 3, 3, 3], 1, 'conv2d', 2),
  ],
  { extras, config },
);
const fullBytes = found(new Map(Object.entries(writePeft(full))));

describe('what a target cannot hold', () => {
  test.each(['mlx', 'gguf', 'kohya', 'loralib'] as const)(
    '%s names it, or leaves it out and lists it, a layer with all of its parts',
    async (to) => {
      const refused = convert(fullBytes, { to });
      await expect(refused).rejects.toThrow(FormatError);
      for (const name of ['c', 'q', ...extras.map((extra) => extra.name)])
        await expect(refused).rejects.toThrow(`'${name}' (`);
      const { files, dropped, warnings } = await convert(fullBytes, { to, dropUnsupported: true });
      expect([...dropped.keys()].sort()).toEqual(['c', 'q', ...extras.map(({ name }) => name)].sort());
      const again = await readAdapter(found(files), alphaIn(warnings));
      expectSameDelta(again, makeFile(full.modules.slice(0, 1)), to === 'kohya' ? kohyaName : undefined);
      expect(again.extras).toEqual([]);
    },
  );

  test.each(['mlx', 'gguf', 'kohya', 'loralib', 'peft'] as const)(
    "%s: a weight of the base's own is no loss",
    async (to) => {
      const copy = {
        name: 'base_model.model.lm_head.base_layer.weight',
        kind: 'base',
        tensor: values(4),
      } as const;
      const file = makeFile([makeModule('lm_head', [5, 2, 3], 1)], { extras: [copy] });
      const { files, dropped, warnings } = await convert(found(new Map(Object.entries(writePeft(file)))), {
        to,
      });
      const again = await readAdapter(found(files), alphaIn(warnings));
      if (to === 'peft') expect(again.extras).toEqual([copy]);
      else expect([...dropped]).toEqual([[copy.name, "the base's own weight"]]);
    },
  );

  test.each([
    [null, 1],
    [llama, 0],
  ])('MLX: an embedding may be the head, which the base tells (%#)', async (base, count) => {
    const file = makeFile([makeModule('model.embed_tokens', [5, 2, 9], 1, 'embedding')]);
    const bytes = found(new Map(Object.entries(writePeft(file))));
    expect((await convert(bytes, { to: 'mlx', base })).warnings).toHaveLength(count);
    const tied = convert(bytes, { to: 'mlx', base: { ...llama, tied: true } });
    await expect(tied).rejects.toThrow('mlx-lm adapts the head with an embedding that is both');
  });

  test('PEFT holds all of its own', async () => {
    expect((await convert(fullBytes, { to: 'peft' })).files.get('adapter_model.safetensors')).toEqual(
      fullBytes.weights,
    );
  });

  test.each(['pissa', 'olora'])('an adapter whose initialisation %s changed the base', async (init) => {
    const changed = makeFile(plain.modules.slice(2), {
      config: parsePeftConfig({ peft_type: 'LORA', r: 16, init_lora_weights: init }).config,
    });
    const bytes = found(new Map(Object.entries(writePeft(changed))));
    await expect(convert(bytes, { to: 'mlx' })).rejects.toThrow(
      `init_lora_weights is '${init}', which changed the base weights; mlx cannot say so, expected peft`,
    );
    const { dropped } = await convert(bytes, { to: 'mlx', dropUnsupported: true });
    expect([...dropped]).toEqual([['init_lora_weights', `'${init}' changed the base weights`]]);
    const kept = (await convert(bytes, { to: 'peft' })).files.get('adapter_config.json')!;
    expect(parsePeftConfig(kept).config.initLoraWeights).toBe(init);
  });

  test('nothing left is an error', async () => {
    const only = makeFile([makeModule('e', [5, 2, 3], 1, 'embedding')]);
    const bytes = found(new Map(Object.entries(writePeft(only))));
    await expect(convert(bytes, { to: 'kohya', dropUnsupported: true })).rejects.toThrow('has no LoRA layer');
  });
});

test.each(FORMATS)('%s refuses values that are not finite, unless forced', async (to) => {
  const module = makeModule('q', [5, 2, 3], 1);
  module.B.data[2] = Number.NaN;
  const broken = found(new Map(Object.entries(writePeft(makeFile([module]), { allowNonFinite: true }))));
  await expect(convert(broken, { to })).rejects.toThrow('NaN, expected finite values');
  const { files, warnings } = await convert(broken, { to, force: true });
  expect((await readAdapter(found(files), alphaIn(warnings))).modules[0]!.B.data.some(Number.isNaN)).toBe(
    true,
  );
});

test('alpha is asked for where the file has none, and refused where it has one', async () => {
  const bare = { weights: fullBytes.weights, config: null };
  await expect(convert(bare, { to: 'mlx' })).rejects.toThrow(
    'a peft file does not hold alpha, expected the option alpha',
  );
  const kohya = { weights: writeKohya(makeFile([makeModule('q', [5, 2, 3], 1)])), config: null };
  await expect(convert(kohya, { to: 'peft', alpha: 4 })).rejects.toThrow(
    'alpha 4 was given, but a kohya adapter has',
  );
});

test('a GGUF file of reordered rows needs its base', async () => {
  const { files } = await convert(found(new Map(Object.entries(writePeft(plain)))), {
    to: 'gguf',
    base: llama,
  });
  await expect(convert(found(files), { to: 'peft' })).rejects.toThrow(
    "the rows of 'blk.0.attn_k' may be in GGUF's order",
  );
});

test.each([
  [{ weights: writeSafetensors([['x', values(2)]]), config: null }, 'no tensor has a name of a LoRA factor'],
  [
    { weights: writeSafetensors([['x.lora_a', values(2)]]), config: null },
    "MLX's adapter_config.json is missing",
  ],
  [
    { weights: fullBytes.weights, config: new TextEncoder().encode('{}') },
    'neither peft_type nor lora_parameters',
  ],
  [{ weights: new Uint8Array(3), config: null }, 'the file has 3 bytes'],
])('no adapter: %#', async (input, words) => {
  await expect(convert(input, { to: 'peft' })).rejects.toThrow(words);
});

test('an unknown target', async () => {
  await expect(convert(fullBytes, { to: 'onnx' as never })).rejects.toThrow(
    'to is onnx, expected one of peft, mlx',
  );
});
