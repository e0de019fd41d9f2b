/** `lora-wasm inspect` of models: what is told of a GGUF file and of a folder, and what is left to the reader of adapters. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isModel, modelReport, modelTable } from '../../src/cli/inspect/model.js';
import { createRuntime } from '../../src/index.js';
import { loadModel } from '../../src/models/index.js';
import { HAS_MODEL, MODEL_PATH } from '../golden-support/smollm2.js';
import { smallJson } from '../support/small-tokenizer.js';
import { tinyFolder, tinyGguf } from '../support/tiny-model.js';

const golden = (path: string): string => fileURLToPath(new URL(`../golden/${path}`, import.meta.url));
let folder = '';

async function save(name: string, files: ReadonlyMap<string, Blob>): Promise<string> {
  const at = join(folder, name);
  mkdirSync(at);
  for (const [file, blob] of files) writeFileSync(join(at, file), new Uint8Array(await blob.arrayBuffer()));
  return at;
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lora-wasm-inspect-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('a file of several types: sizes, types, and the bytes that loading takes', async () => {
  const path = join(folder, 'tiny.gguf');
  const half = new Uint8Array(2 * 40 * 32);
  writeFileSync(
    path,
    tinyGguf({ tensors: (all) => all.set('token_embd.weight', { sizes: [32, 40], type: 1, bytes: half }) }),
  );
  const report = await modelReport(path);
  expect(report).toMatchObject({
    ...{ kind: 'model', format: 'gguf', tokenizer: null, chatTemplate: false, stopIds: [2] },
    config: { modelType: 'llama', hiddenSize: 32, numKeyValueHeads: 2, tieWordEmbeddings: true },
    types: [
      { type: 'f16', tensors: 1, parameters: 1280, bytes: 2560 },
      { type: 'f32', tensors: 19, parameters: 15_520, bytes: 62_080 },
    ],
    ...{ parameters: 16_800, bytes: 64_640 },
  });
  using rt = await createRuntime({ threads: 1 });
  for (const weights of ['stored', 'f32'] as const) {
    const { held } = rt.memory();
    using loaded = await loadModel(rt, path, { weights, maxLength: 64 });
    // Cosines and sines of 64 positions, four of each.
    expect(rt.memory().held - held).toBe(report.memory[weights] + 2 * 1024);
    const before = rt.memory().held;
    using cache = loaded.model.cache(64);
    expect(rt.memory().held - before).toBe(cache.capacity * report.memory.cacheOfToken);
  }
  expect(modelTable(report)).toContain('2 blocks, 32 wide, 48 within; vocabulary 40, head tied; length 64');
});

test('a folder: its tokenizer and template, or why there is none', async () => {
  const files = tinyFolder().set('chat_template.jinja', new Blob(['{{ messages[0].content }}']));
  const bare = await modelReport(await save('bare', files));
  expect(bare).toMatchObject({ format: 'transformers', tokenizer: null, chatTemplate: true });
  const cut = { type: 'ByteLevel', add_prefix_space: false, use_regex: true };
  const whole = await modelReport(
    await save('whole', files.set('tokenizer.json', new Blob([smallJson(cut)]))),
  );
  expect(whole.tokenizer).toEqual({ name: 'tokenizer.json', tokens: 700, fault: null });
  expect(modelTable(whole)).toContain('tokenizer tokenizer.json, 700 tokens\na chat template; ends at 2');
  const unknown = await modelReport(await save('unknown', files.set('tokenizer.json', new Blob(['{}']))));
  expect(unknown.tokenizer?.fault).toContain('tokenizer.json');
});

test('windows, norms, biases and scaled positions are told', async () => {
  const line = async (name: string): Promise<string> =>
    modelTable(await modelReport(golden(`tiny/${name}/model`))).split('\n')[2]!;
  expect(await line('mistral_window')).toContain('no biases, a window of 6');
  expect(await line('qwen3')).toContain('4 heads of 20, 2 of keys and values');
  expect(await line('qwen3')).toContain('norms of queries and keys');
  expect(await line('qwen2')).toContain('with biases');
  expect(await line('llama3_rope')).toContain('scaled positions');
});

test('adapters, and what is no model, are left to the reader of adapters; a model that is refused is so by its path', async () => {
  for (const path of ['tiny/llama/adapter', 'peft/linear/adapter', 'README.md', 'nowhere'])
    expect(await isModel(golden(path)), path).toBe(false);
  expect(await isModel(golden('tiny/llama/model'))).toBe(true);
  expect(await isModel(golden('gguf/q4_0.gguf'))).toBe(true);
  const adapter = fileURLToPath(new URL('../formats/fixtures/llama_cpp/llama/adapter.gguf', import.meta.url));
  expect(await isModel(adapter)).toBe(false);
  const path = join(folder, 'gpt2.gguf');
  writeFileSync(path, tinyGguf({ metadata: { 'general.architecture': 'gpt2' } }));
  await expect(modelReport(path)).rejects.toThrow(`${path}: general.architecture is 'gpt2'`);
  const page = join(folder, 'page.gguf');
  writeFileSync(page, '<!doctype html><html></html>');
  expect(await isModel(page)).toBe(true);
  await expect(modelReport(page)).rejects.toThrow(`${page}: the file does not begin with GGUF`);
});

test.skipIf(!HAS_MODEL)('the real model', async () => {
  const report = await modelReport(MODEL_PATH);
  expect(report.parameters).toBe(134_515_008);
  expect(report.types.map(({ type, tensors }) => [type, tensors])).toEqual([
    ['q8_0', 1],
    ['f32', 61],
    ['q4_1', 210],
  ]);
  expect(report.tokenizer).toEqual({ name: 'gpt2, smollm', tokens: 49_152, fault: null });
});
