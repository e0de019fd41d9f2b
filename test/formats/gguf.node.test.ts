/** GGUF adapters: files that the `gguf` package wrote, names, order of rows, one alpha for all, and refusals. */
import { readFileSync } from 'node:fs';
import { gguf } from '@huggingface/gguf';
import { describe, expect, test } from 'vitest';
import {
  baseFromConfig,
  baseFromGguf,
  deltaWeight,
  FormatError,
  openGguf,
  readGguf,
  writeGguf,
} from '../../src/formats/index.js';
import { expectSameDelta, makeFile, makeModule } from '../support/adapters.js';

const fixture = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(new URL(`./fixtures/${name}`, import.meta.url)));
const source = (bytes: Uint8Array) => ({
  size: bytes.length,
  read: async (begin: number, end: number) => bytes.slice(begin, end),
});
const config = (type: string, heads = 2, kv: number | null = 1): string =>
  JSON.stringify({ model_type: type, num_attention_heads: heads, num_key_value_heads: kv });
const llama = baseFromConfig(config('llama'));
const count = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

const modules = [
  makeModule('model.layers.0.self_attn.q_proj', [8, 2, 5], 0.5),
  makeModule('model.layers.0.self_attn.k_proj', [4, 3, 5], 2),
  makeModule('model.layers.10.mlp.down_proj', [5, 16, 7], 4),
  makeModule('model.embed_tokens', [5, 2, 9], 3, 'embedding'),
  makeModule('lm_head', [9, 2, 5], 0.5),
];

describe.each([32, 64])('a file of the gguf package aligned to %d', (alignment) => {
  const bytes = fixture(`align${alignment}.gguf`);

  test('with its base: names, rows and the embedding as in transformers', async () => {
    const { modules: found } = await readGguf(bytes, { base: llama });
    expect(found.map(({ path, kind, r, alpha, scale }) => [path, kind, r, alpha, scale])).toEqual([
      ['model.layers.0.self_attn.q_proj', 'linear', 3, 6, 2],
      ['model.layers.0.mlp.up_proj', 'linear', 3, 6, 2],
      ['model.embed_tokens', 'embedding', 3, 6, 2],
    ]);
    for (const { A, B } of found) {
      expect([A.shape, [...A.data]]).toEqual([[3, 5], count(15)]);
      expect([B.shape, [...B.data]]).toEqual([[8, 3], count(24)]);
    }
  });

  test('without it: GGUF’s names and order, and a warning', async () => {
    const { modules: found, warnings } = await readGguf(bytes);
    expect(found.map(({ path }) => path)).toEqual(['blk.0.attn_q', 'blk.0.ffn_up', 'token_embd']);
    expect([...found[0]!.B.data].slice(0, 9)).toEqual([0, 1, 2, 6, 7, 8, 3, 4, 5]);
    expect(warnings).toEqual([expect.stringContaining("blk.0.attn_q keep GGUF's order of rows")]);
  });

  test('cut anywhere it is refused', async () => {
    const { tensors } = await openGguf('x', source(bytes));
    const end = Math.max(...[...tensors.values()].map((tensor) => tensor.end));
    for (let n = 0; n < end; n += n < 900 ? 41 : 7)
      await expect(readGguf(bytes.slice(0, n)), `${n} bytes`).rejects.toThrow(FormatError);
  });
});

test('mixed ranks and alphas, written and read with the base', async () => {
  const { bytes, warnings } = await writeGguf(makeFile(modules), { base: llama });
  expect(warnings).toEqual([]);
  const { metadata, tensors } = await openGguf('x', source(bytes));
  expect(Object.fromEntries(metadata)).toMatchObject({
    'general.type': 'adapter',
    'general.architecture': 'llama',
    'adapter.type': 'lora',
    'adapter.lora.alpha': 1,
  });
  expect([...tensors.keys()].filter((name) => name.endsWith('a'))).toEqual([
    'blk.0.attn_q.weight.lora_a',
    'blk.0.attn_k.weight.lora_a',
    'blk.10.ffn_down.weight.lora_a',
    'token_embd.weight.lora_a',
    'output.weight.lora_a',
  ]);
  expect(tensors.get('token_embd.weight.lora_a')!.shape).toEqual([9, 2]);
  expectSameDelta(await readGguf(bytes, { base: llama }), makeFile(modules));
});

test('another reader finds the same metadata and the same places', async () => {
  const { bytes } = await writeGguf(makeFile(modules), { base: llama });
  const answer = async () => new Response(Uint8Array.from(bytes));
  const other = await gguf('https://example.invalid/a.gguf', { fetch: answer });
  const own = await openGguf('x', source(bytes));
  for (const [key, value] of own.metadata)
    expect(Object.entries(other.metadata)).toContainEqual([key, value]);
  const places = other.tensorInfos.map(({ name, shape, dtype, offset }) => [
    name,
    {
      shape: shape.map(Number).reverse(),
      type: Number(dtype),
      begin: Number(other.tensorDataOffset + offset),
    },
  ]);
  expect(places).toEqual(
    [...own.tensors].map(([name, { shape, type, begin }]) => [name, { shape, type, begin }]),
  );
});

test('Qwen’s rows stay in place', async () => {
  const base = baseFromConfig(config('qwen2'));
  const { bytes } = await writeGguf(makeFile(modules.slice(0, 1)), { base });
  expect((await readGguf(bytes)).modules[0]!.B.data).toEqual(modules[0]!.B.data);
  await expect(readGguf(bytes, { base: llama })).rejects.toThrow('the adapter is for qwen2, expected llama');
});

test('without a base: names stay, a warning, q_proj and k_proj refused', async () => {
  const file = makeFile([makeModule('fc1', [4, 2, 3], 2), makeModule('l.0.up_proj', [4, 1, 3], 2)]);
  const { bytes, warnings } = await writeGguf(file);
  expect(warnings).toEqual([expect.stringContaining('llama.cpp cannot apply the file')]);
  expectSameDelta(await readGguf(bytes), file);
  await expect(writeGguf(makeFile(modules))).rejects.toThrow(
    "'model.layers.0.self_attn.q_proj' (its rows may be reordered in GGUF, which needs the base's heads)",
  );
});

test('what it cannot hold', async () => {
  const write = (...args: Parameters<typeof makeModule>) =>
    writeGguf(makeFile([makeModule(...args)]), { base: llama });
  await expect(write('c', [6, 2, 3, 3, 3], 1, 'conv2d')).rejects.toThrow('llama.cpp adapts no convolutions');
  await expect(write('fc1', [4, 2, 3], 1)).rejects.toThrow("'fc1' (no layer of llama in GGUF)");
  await expect(write('model.layers.0.self_attn.q_proj', [6, 2, 3], 1)).rejects.toThrow(
    "'blk.0.attn_q' has 6 rows, expected a multiple of two for each of 2 heads",
  );
  const extras = [
    {
      name: 'base_model.model.lm_head.weight',
      kind: 'saved',
      tensor: { shape: [1], data: Float32Array.of(1) },
    },
  ] as const;
  await expect(writeGguf(makeFile(modules, { extras }), { base: llama })).rejects.toThrow(
    "'base_model.model.lm_head.weight' (saved",
  );
  const broken = makeModule('fc1', [4, 2, 3], 2);
  broken.A.data[1] = Number.POSITIVE_INFINITY;
  await expect(writeGguf(makeFile([broken]))).rejects.toThrow("'fc1.weight.lora_a': element 1 is Infinity");
  const forced = await writeGguf(makeFile([broken]), { allowNonFinite: true });
  expect((await readGguf(forced.bytes)).modules[0]!.A.data[1]).toBe(Number.POSITIVE_INFINITY);
});

test.each([
  ['phi3', 'model.layers.3.mlp.gate_up_proj', 'blk.3.ffn_up'],
  ['phi3', 'model.layers.3.self_attn.qkv_proj', 'blk.3.attn_qkv'],
  ['phi3', 'model.layers.3.mlp.up_proj', null],
  ['gemma2', 'lm_head', null],
  ['qwen3', 'lm_head', 'output'],
  ['mistral', 'model.layers.12.self_attn.o_proj', 'blk.12.attn_output'],
])('%s: %s is %s', async (type, path, name) => {
  const base = baseFromConfig(config(type));
  const write = writeGguf(makeFile([makeModule(path, [8, 2, 3], 1)]), { base });
  if (name === null) await expect(write).rejects.toThrow(`'${path}' (no layer of ${type} in GGUF)`);
  else {
    const { bytes } = await write;
    expect((await readGguf(bytes)).modules.map((module) => module.path)).toEqual([name]);
    expect((await readGguf(bytes, { base })).modules.map((module) => module.path)).toEqual([path]);
  }
});

test('a tied head has no tensor in GGUF, and is refused', async () => {
  const fields = { model_type: 'llama', num_attention_heads: 2, tie_word_embeddings: true };
  const base = baseFromConfig(JSON.stringify(fields));
  await expect(writeGguf(makeFile(modules), { base })).rejects.toThrow(
    "'lm_head' (no layer of llama in GGUF)",
  );
});

test('an embedding that is the head too is refused: llama.cpp aborts on it', async () => {
  const embedding = makeFile([makeModule('model.embed_tokens', [5, 2, 9], 3, 'embedding')]);
  const tied = { model_type: 'llama', num_attention_heads: 2, tie_word_embeddings: true };
  // Gemma's head is the embedding in llama.cpp, whatever the config says.
  const gemma = { model_type: 'gemma', num_attention_heads: 2, tie_word_embeddings: false };
  for (const fields of [tied, gemma])
    await expect(writeGguf(embedding, { base: baseFromConfig(JSON.stringify(fields)) })).rejects.toThrow(
      "'model.embed_tokens' (llama.cpp adapts no embedding that is the head too)",
    );
});

test('alpha 0 changes nothing; a model is no adapter; base files', async () => {
  const zero = await writeGguf(makeFile([makeModule('fc1', [4, 2, 3], 0)]));
  expect(new Set(deltaWeight((await readGguf(zero.bytes)).modules[0]!).data.map(Math.abs))).toEqual(
    new Set([0]),
  );
  await expect(readGguf(new TextEncoder().encode('GGUX'.padEnd(64)))).rejects.toThrow(
    'the file does not begin with GGUF',
  );
  expect(() => baseFromConfig(config('bert'))).toThrow(
    'model_type is "bert", expected one of llama, mistral',
  );
  expect(() => baseFromConfig(config('llama', 0))).toThrow('num_attention_heads is missing');
  expect(baseFromConfig(config('mistral', 4, null))).toEqual({
    architecture: 'llama',
    heads: 4,
    kvHeads: 4,
    tied: false,
  });
  const metadata = new Map<string, unknown>([
    ['general.architecture', 'llama'],
    ['llama.attention.head_count', 9],
    ['llama.attention.head_count_kv', 3],
  ]);
  expect(baseFromGguf({ metadata, tensors: new Map() })).toEqual({
    architecture: 'llama',
    heads: 9,
    kvHeads: 3,
    tied: true,
  });
});
