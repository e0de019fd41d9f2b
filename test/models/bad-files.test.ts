/** Files that are no model, or one that is not understood: each refused by an error that names file and field, with nothing left in memory. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeSafetensors } from '../../src/formats/index.js';
import { createRuntime, FormatError, OutOfMemoryError, type Runtime } from '../../src/index.js';
import {
  type LanguageModel,
  type LoadModelOptions,
  loadModel,
  type ModelInput,
} from '../../src/models/index.js';
import {
  folderFor,
  type StoredTiny,
  TINY_CONFIG,
  type TinyChanges,
  type TinyGgufChanges,
  type TinyTensors,
  tinyFolder,
  tinyGguf,
  tinyTensors,
} from '../support/tiny-model.js';

let rt: Runtime;
beforeAll(async () => {
  rt = await createRuntime({ threads: 1 });
});
afterAll(() => rt.dispose());

const NAME = 'tiny.gguf';
const file = (bytes: Uint8Array<ArrayBuffer>): File => new File([bytes], NAME);

/** Loads and expects an error whose message has all of the words; memory is as before. */
async function expectRefused(
  source: ModelInput,
  words: readonly string[],
  kind: new (...args: never[]) => Error = FormatError,
  options: LoadModelOptions = {},
): Promise<void> {
  const { held, blocks, tensors } = rt.memory();
  const { layers, draws } = rt.engine;
  const error = await loadModel(rt, source, options).then(
    () => new Error('it was loaded'),
    (one: unknown) => one,
  );
  expect(error).toBeInstanceOf(kind);
  const { message } = error as Error;
  expect(message).toMatch(/^loadModel/);
  for (const word of words) expect(message).toContain(word);
  expect(rt.memory()).toMatchObject({ held, blocks, tensors });
  expect([rt.engine.layers, rt.engine.draws]).toEqual([layers, draws]);
}

const tensor = (stored: Map<string, StoredTiny>, label: string, change: Partial<StoredTiny>): void => {
  stored.set(label, { ...stored.get(label)!, ...change });
};

/** A tensor of the model as blocks of 32 with a scale first, all the same. */
const blocks = (size: number, type: number, block: readonly number[]): Partial<StoredTiny> => ({
  type,
  bytes: Uint8Array.from({ length: (size / 32) * block.length }, (_, i) => block[i % block.length]!),
});

const Q = 'blk.1.attn_q.weight';
const EMBED = 'token_embd.weight';

test.each<[string, TinyGgufChanges, readonly string[]]>([
  [
    'another architecture',
    { metadata: { 'general.architecture': 'gpt2' } },
    ['general.architecture', "'gpt2'", 'llama'],
  ],
  ['an adapter', { metadata: { 'general.type': 'adapter' } }, ['general.type', "'adapter'"]],
  ['a part of a file', { metadata: { 'split.count': 3 } }, ['split.count', '3', 'one file']],
  ['experts', { metadata: { 'llama.expert_count': 8 } }, ['llama.expert_count', '8']],
  ['a scale of logits', { metadata: { 'llama.logit_scale': 0.5 } }, ['llama.logit_scale', '0.5']],
  [
    'a soft cap',
    { metadata: { 'llama.attn_logit_softcapping': 50 } },
    ['llama.attn_logit_softcapping', '50'],
  ],
  [
    'yarn',
    { metadata: { 'llama.rope.scaling.type': 'yarn' } },
    ['llama.rope.scaling.type', "'yarn'", "'linear'"],
  ],
  [
    'half-turned heads',
    { metadata: { 'llama.rope.dimension_count': 4 } },
    ['llama.rope.dimension_count', '4', '8'],
  ],
  [
    'heads that do not divide',
    { metadata: { 'llama.attention.head_count_kv': 3 } },
    ['num_key_value_heads is 3', '4'],
  ],
  [
    'heads of no whole size',
    { metadata: { 'llama.attention.head_count': 5 } },
    ['llama.attention.key_length', '6.4'],
  ],
  [
    'more blocks than anybody has',
    { metadata: { 'llama.block_count': 1e9 } },
    ['llama.block_count', '1 to 10000'],
  ],
  ['no layers', { metadata: { 'llama.block_count': 0 } }, ['llama.block_count', '0']],
  ['too many layers', { metadata: { 'llama.block_count': 3 } }, ["'blk.2.attn_q.weight'"]],
  [
    'a text for a number',
    { metadata: { 'llama.embedding_length': 'many' } },
    ['llama.embedding_length', "'many'"],
  ],
  ['an id outside', { metadata: { 'tokenizer.ggml.eos_token_id': 40 } }, ['eos_token_id is 40', '40']],
  ['a missing tensor', { tensors: (all) => all.delete(Q) }, [`'${Q}'`]],
  ['no embedding', { tensors: (all) => all.delete(EMBED) }, [EMBED]],
  [
    'a misshapen tensor',
    { tensors: (all) => tensor(all, Q, { sizes: [16, 64] }) },
    [Q, '[64, 16]', '[32, 32]'],
  ],
  [
    'an unread tensor',
    { tensors: (all) => all.set('blk.0.extra.weight', all.get(Q)!) },
    ['blk.0.extra.weight'],
  ],
  [
    'a layer too many',
    { tensors: (all) => all.set('blk.2.attn_q.weight', all.get(Q)!) },
    ['blk.2.attn_q.weight', 'belong to nothing'],
  ],
  ['a type that nobody knows', { tensors: (all) => tensor(all, Q, { type: 77 }) }, [Q, '77']],
  [
    'a type that is not read',
    { tensors: (all) => tensor(all, Q, { type: 24, bytes: new Uint8Array(1024) }) },
    [Q, 'i8', 'q8_0'],
  ],
  [
    'a scale that is not finite',
    { tensors: (all) => tensor(all, EMBED, blocks(1280, 8, [0, 0x7c, ...Array(32).fill(1)])) },
    [EMBED, 'not finite'],
  ],
  [
    'a minimum that is not finite',
    { tensors: (all) => tensor(all, Q, blocks(1024, 3, [0, 0x3c, 0, 0x7e, ...Array(16).fill(1)])) },
    [Q, 'not finite'],
  ],
  [
    'a weight that is not finite',
    {
      tensors: (all) =>
        tensor(all, Q, { bytes: new Uint8Array(new Float32Array(1024).fill(Number.NaN).buffer) }),
    },
    [Q, 'not finite'],
  ],
])('GGUF: %s', async (_, changes, words) => {
  await expectRefused(file(tinyGguf(changes)), [NAME, ...words]);
});

test('GGUF: a file that is cut in its header, in a tensor, inside a block', async () => {
  const quantised = tinyGguf({
    tensors: (all) => tensor(all, EMBED, blocks(1280, 8, [0, 0x3c, ...Array(32).fill(1)])),
  });
  for (const bytes of [tinyGguf(), quantised])
    for (const n of [0, 3, 30, 500, bytes.length - 40, bytes.length - 4000, bytes.length - 10_001])
      await expectRefused(file(bytes.slice(0, n)), [NAME]);
});

test('GGUF: a tensor that stands there twice', async () => {
  const bytes = tinyGguf({ tensors: (all) => all.set('blk.1.attn_x.weight', all.get(Q)!) });
  // The one name becomes the other.
  const text = new TextDecoder('latin1').decode(bytes);
  const at = text.indexOf('blk.1.attn_x.weight');
  bytes.set(new TextEncoder().encode(Q), at);
  await expectRefused(file(bytes), [NAME, `'${Q}' appears twice`]);
});

test('a file that is no GGUF at all', async () => {
  await expectRefused(file(new TextEncoder().encode('<!doctype html><html></html>')), [
    NAME,
    'does not begin with GGUF',
  ]);
});

const CONFIG = 'config.json';

test.each<[string, TinyChanges['config'], readonly string[]]>([
  ['another kind', { model_type: 'gpt2' }, ['model_type', "'gpt2'", 'qwen2']],
  ['no kind', { model_type: undefined }, ['model_type is missing']],
  ['experts', { num_local_experts: 8 }, ['num_local_experts', '8']],
  ['a soft cap', { final_logit_softcapping: 30 }, ['final_logit_softcapping', '30']],
  ['a scale of logits', { logits_scaling: 8 }, ['logits_scaling', '8']],
  ['multipliers', { residual_multiplier: 0.2 }, ['residual_multiplier', '0.2']],
  ['a part of the heads turned', { partial_rotary_factor: 0.5 }, ['partial_rotary_factor', '0.5']],
  ['weights that another program packed', { quantization_config: { bits: 4 } }, ['quantization_config']],
  ['another activation', { hidden_act: 'gelu' }, ['hidden_act', "'gelu'"]],
  ['yarn', { rope_scaling: { rope_type: 'yarn', factor: 4 } }, ['rope_scaling.rope_type', "'yarn'"]],
  [
    'yarn, in the newer field',
    { rope_parameters: { rope_type: 'yarn', factor: 4 } },
    ['rope_parameters.rope_type'],
  ],
  [
    'a scaling by next to nothing',
    { rope_scaling: { type: 'linear', factor: 1e-30 } },
    ['rotary positions', '0.0078125'],
  ],
  [
    'a scaling that is none',
    { rope_scaling: { rope_type: 'llama3', factor: 1e300, low_freq_factor: 4, high_freq_factor: 4 } },
    ['rotary positions'],
  ],
  ['more blocks than anybody has', { num_hidden_layers: 1e9 }, ['num_hidden_layers', '1 to 10000']],
  ['a head too large', { head_dim: 2 ** 30 }, ['head_dim', '1 to 65536']],
  ['a scaling without its factor', { rope_scaling: { type: 'linear' } }, ['rope_scaling.factor', 'missing']],
  ['heads that do not divide', { num_key_value_heads: 3 }, ['num_key_value_heads is 3', '4']],
  ['heads of no whole size', { num_attention_heads: 5, num_key_value_heads: 5 }, ['head_dim', '6.4']],
  ['an odd size of heads', { head_dim: 7 }, ['head_dim is 7', 'even']],
  ['a base below one', { rope_theta: 0.5 }, ['rope_theta is 0.5', '1 at least']],
  ['a size that is none', { hidden_size: -32 }, ['hidden_size', '-32']],
  ['a size that is a text', { vocab_size: '40' }, ['vocab_size', "'40'"]],
  ['a flag that is none', { tie_word_embeddings: 'yes' }, ['tie_word_embeddings', "'yes'"]],
  [
    'another hidden size than the tensors',
    { hidden_size: 64 },
    ["'model.embed_tokens.weight'", '[40, 32]', '[40, 64]'],
  ],
  ['a head that is not there', { tie_word_embeddings: false }, ["'lm_head.weight'"]],
  ['biases that are not there', { attention_bias: true }, ["'model.layers.0.self_attn.q_proj.bias'"]],
  ['an id outside', { eos_token_id: [2, 40] }, ['eos_token_id is 40', '40']],
  [
    'too few kinds of layers',
    { model_type: 'qwen2', layer_types: ['full_attention'] },
    ['layer_types', '1', '2'],
  ],
  [
    'a kind of layers that is not known',
    { layer_types: ['full_attention', 'mamba'] },
    ['layer_types[1]', "'mamba'"],
  ],
])('config.json: %s', async (_, config, words) => {
  const files = tinyFolder(config === undefined ? {} : { config });
  const names = words.some((word) => /tensor|weight|bias'/.test(word)) ? [] : [CONFIG];
  await expectRefused(files, [...names, ...words]);
});

test('config.json: no JSON, no object, not there', async () => {
  for (const [text, word] of [
    ['{', 'is no JSON'],
    ['[1]', 'is no object'],
    ['null', 'is no object'],
  ] as const)
    await expectRefused(tinyFolder().set(CONFIG, new Blob([text])), [CONFIG, word]);
  const files = tinyFolder();
  files.delete(CONFIG);
  await expectRefused(files, ['there is no config.json', 'model.safetensors']);
});

const WEIGHTS = 'model.safetensors';

test.each<[string, (all: TinyTensors) => void, readonly string[]]>([
  ['a missing tensor', (all) => all.delete('model.norm.weight'), ["there is no tensor 'model.norm.weight'"]],
  [
    'an unread tensor',
    (all) => all.set('model.layers.2.extra', all.get('model.norm.weight')!),
    ['model.layers.2.extra'],
  ],
  [
    'a misshapen tensor',
    (all) => all.set('model.norm.weight', { shape: [2, 16], data: new Float32Array(32) }),
    [WEIGHTS, "'model.norm.weight'", '[2, 16]', '[32]'],
  ],
  [
    'a weight that is not finite',
    (all) => {
      all.get('model.layers.1.mlp.up_proj.weight')!.data[77] = Number.POSITIVE_INFINITY;
    },
    [WEIGHTS, "'model.layers.1.mlp.up_proj.weight'", 'not finite'],
  ],
])('safetensors: %s', async (_, tensors, words) => {
  await expectRefused(tinyFolder({ tensors }), words);
});

test('safetensors: integers, a cut file, no file', async () => {
  const tensors = [...tinyTensors()].map(
    ([name, { shape, data }]) =>
      [name, { shape, data: name === 'model.norm.weight' ? Int32Array.from(data) : data }] as const,
  );
  await expectRefused(tinyFolder().set(WEIGHTS, new Blob([writeSafetensors(tensors)])), [
    WEIGHTS,
    'I32',
    'F16',
  ]);
  const whole = tinyFolder().get(WEIGHTS)!;
  for (const n of [0, 7, 100, whole.size - 1])
    await expectRefused(tinyFolder().set(WEIGHTS, whole.slice(0, n)), [WEIGHTS]);
  const files = tinyFolder();
  files.delete(WEIGHTS);
  await expectRefused(files, [`there is no ${WEIGHTS}`, CONFIG]);
});

/** The model in two shards with an index. */
function sharded(change: (map: Record<string, unknown>) => void = () => {}): Map<string, Blob> {
  const [first, second] = [tinyTensors(), tinyTensors()];
  const names = [...first.keys()];
  const map: Record<string, unknown> = {};
  names.forEach((name, i) => {
    (i % 2 === 0 ? second : first).delete(name);
    map[name] = i % 2 === 0 ? 'a.safetensors' : 'b.safetensors';
  });
  change(map);
  return new Map([
    [CONFIG, new Blob([JSON.stringify(TINY_CONFIG)])],
    ['a.safetensors', new Blob([writeSafetensors(first)])],
    ['b.safetensors', new Blob([writeSafetensors(second)])],
    [INDEX, new Blob([JSON.stringify({ weight_map: map })])],
  ]);
}

const INDEX = 'model.safetensors.index.json';
const NORM = 'model.norm.weight';

test('shards: together they are the model', async () => {
  using loaded = await loadModel(rt, sharded());
  expect(loaded.model.namedParameters()).toHaveLength(20);
});

test.each<[string, (map: Record<string, unknown>) => void, readonly string[]]>([
  [
    'a shard that is not there',
    (map) => Object.assign(map, { [NORM]: 'c.safetensors' }),
    ['there is no c.safetensors'],
  ],
  [
    'a shard outside of the folder',
    (map) => Object.assign(map, { [NORM]: '../a.safetensors' }),
    [INDEX, '../a.safetensors', NORM],
  ],
  [
    'an absolute path',
    (map) => Object.assign(map, { [NORM]: '/etc/a.safetensors' }),
    [INDEX, '/etc/a.safetensors'],
  ],
  ['a drive', (map) => Object.assign(map, { [NORM]: 'C:a.safetensors' }), [INDEX, 'C:a.safetensors']],
  ['no name', (map) => Object.assign(map, { [NORM]: 7 }), [INDEX, NORM, '7']],
  ['a tensor in the other shard', (map) => Object.assign(map, { [NORM]: 'a.safetensors' }), [NORM]],
  [
    'a tensor that is in no shard',
    (map) => Object.assign(map, { 'lm_head.weight': 'a.safetensors' }),
    [INDEX, 'lm_head.weight', 'a.safetensors'],
  ],
  ['a tensor that the index leaves out', (map) => delete map[NORM], [NORM]],
])('shards: %s', async (_, change, words) => {
  await expectRefused(sharded(change), words);
});

test('shards: an index that is none', async () => {
  for (const text of ['{}', '{"weight_map": []}', '{"weight_map": null}'])
    await expectRefused(sharded().set(INDEX, new Blob([text])), [INDEX, 'weight_map']);
});

test('a model that does not fit is refused before its weights are read, with the bytes it takes and may take', async () => {
  using small = await createRuntime({ threads: 1, maxMemoryMB: 2 });
  const { held } = small.memory();
  let last = 0;
  const whole = folderFor({ vocab_size: 20_000 });
  const blob = whole.get(WEIGHTS)!;
  const read = async (begin: number, end: number): Promise<Uint8Array> => {
    last = Math.max(last, end);
    return new Uint8Array(await blob.slice(begin, end).arrayBuffer());
  };
  const source = new Map<string, Blob | { size: number; read: typeof read }>(whole).set(WEIGHTS, {
    size: blob.size,
    read,
  });
  const error = await loadModel(small, source).catch((one: unknown) => one);
  expect(error).toBeInstanceOf(OutOfMemoryError);
  const { wanted, allowed, message } = error as OutOfMemoryError;
  expect(wanted).toBeGreaterThan(20_000 * 32 * 4);
  expect(wanted).toBeLessThan(blob.size + 200_000);
  expect(allowed).toBe(2 * 2 ** 20);
  for (const number of [wanted, allowed]) expect(message).toContain(String(number));
  // The header alone.
  expect(last).toBeLessThan(8000);
  expect(small.memory().held).toBe(held);
  using fitting = await loadModel(small, tinyFolder());
  expect(fitting.config.vocabSize).toBe(40);
});

test('damaged files and fields give a model or a FormatError, and nothing stays', async () => {
  const [gguf, weights] = [tinyGguf(), new Uint8Array(await tinyFolder().get(WEIGHTS)!.arrayBuffer())];
  const values = fc.constantFrom<unknown>(
    ...[0, -1, 1, 3, 7, 0.5, 1e9, 1e30, 1e-30, 2 ** 31, 65_536, '2', 'x', null, true, [], {}],
  );
  const damaged = (bytes: Uint8Array<ArrayBuffer>, reach: number) =>
    fc.array(fc.tuple(fc.nat(reach), fc.nat(255)), { minLength: 1, maxLength: 3 }).map((changes) => {
      const copy = bytes.slice();
      for (const [at, value] of changes) copy[at] = value;
      return new Blob([copy]);
    });
  const config = fc
    .dictionary(fc.constantFrom(...Object.keys(TINY_CONFIG)), values, { minKeys: 1, maxKeys: 2 })
    .map((change) => tinyFolder().set(CONFIG, new Blob([JSON.stringify({ ...TINY_CONFIG, ...change })])));
  const source = fc.oneof(
    damaged(gguf, 2000),
    damaged(gguf, gguf.length - 1),
    damaged(weights, 2400).map((blob) => tinyFolder().set(WEIGHTS, blob)),
    config,
  );
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(source, async (input) => {
      const { held, tensors } = rt.memory();
      const found = await loadModel(rt, input).catch((error: unknown) => error);
      if (found instanceof FormatError) seen.add('refused');
      else {
        seen.add('loaded');
        (found as LanguageModel).dispose();
      }
      expect(rt.memory()).toMatchObject({ held, tensors });
    }),
    { numRuns: 150 },
  );
  expect([...seen].sort()).toEqual(['loaded', 'refused']);
});

test('what is rounded to a type that cannot hold it is refused', async () => {
  const files = tinyFolder({
    tensors: (all) => {
      all.get('model.embed_tokens.weight')!.data[5] = 1e6;
    },
  });
  await expectRefused(files, ["'model.embed_tokens.weight'", 'not finite as f16'], FormatError, {
    weights: 'f16',
  });
});

test('an error of the source, and a signal in the middle, leave nothing behind', async () => {
  const bytes = tinyGguf();
  let reads = 0;
  const failing = {
    size: bytes.length,
    read: async (begin: number, end: number): Promise<Uint8Array> => {
      if (++reads > 6) throw new Error('loadModel: the disk is gone');
      return bytes.slice(begin, end);
    },
  };
  await expectRefused(failing, ['the disk is gone'], Error);
  const ending = new AbortController();
  let seen = 0;
  await expectRefused(file(bytes), ['enough'], Error, {
    signal: ending.signal,
    onProgress: () => {
      if (++seen === 5) ending.abort(new Error('loadModel: enough'));
    },
  });
  expect(seen).toBe(5);
});

test('wrong options and sources are refused by name', async () => {
  const wrong: [ModelInput, LoadModelOptions, string][] = [
    [7 as never, {}, 'loadModel: source is 7'],
    [null as never, {}, 'loadModel: source is null'],
    [new Map([[7, new Blob([])]]) as never, {}, 'a name of source is 7'],
    [tinyFolder(), { weights: 'int4' as never }, "loadModel: weights is 'int4', expected 'stored', 'f32'"],
    [tinyFolder(), { signal: {} as never }, 'loadModel: signal is Object, expected an AbortSignal'],
    [tinyFolder(), { onProgress: 1 as never }, 'loadModel: onProgress is 1'],
    [tinyFolder(), { sha256: 5 as never }, 'loadModel: sha256 is 5'],
    [tinyFolder(), { hurry: true } as never, "loadModel: unknown option 'hurry'"],
  ];
  for (const [source, options, message] of wrong) await expectRefused(source, [message], TypeError, options);
  await expectRefused(tinyFolder(), ['sha256', '64'], RangeError, { sha256: 'abc' });
  await expectRefused(tinyFolder(), ["cache is ''"], RangeError, { cache: '' });
  await expectRefused(tinyFolder(), ['maxLength is 65', '1 to 64'], RangeError, { maxLength: 65 });
});

test('memory is constant over 100 loads and disposals', async () => {
  const [gguf, folder] = [file(tinyGguf()), tinyFolder()];
  const use: number[] = [];
  for (let i = 0; i < 100; i++) {
    const loaded = await loadModel(rt, i % 2 === 0 ? gguf : folder, {
      weights: i % 3 === 0 ? 'bf16' : 'stored',
    });
    loaded.dispose();
    loaded.dispose();
    const { bytes, held, blocks: live, tensors } = rt.memory();
    if (i === 1) use.push(bytes, held, live, tensors);
    if (i > 1) expect([bytes, held, live, tensors]).toEqual(use);
  }
});
