/** `lora-wasm merge`, built: the folder gives the numbers of model and adapter, in each type, from a folder and from GGUF. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type MergeType, writeShards } from '../../src/cli/merge/shards.js';
import { createRuntime, LoraModel } from '../../src/index.js';
import { loadModel } from '../../src/models/index.js';
import { ServedCommand } from './served.js';

const golden = (path: string): string => fileURLToPath(new URL(`../golden/${path}`, import.meta.url));
let folder = '';
let command: ServedCommand;
const path = (...parts: string[]): string => join(folder, ...parts);
const merge = (...args: string[]) => command.run(['merge', '--kernels', 'simd', '--threads', '1', ...args]);

/** The last logits of some ids. */
async function logits(model: string, adapter: string | null, scale = 1): Promise<Float32Array> {
  using rt = await createRuntime({ kernels: 'simd', threads: 1 });
  const lm = await loadModel(rt, model);
  if (adapter !== null) {
    const lora = LoraModel.attach(lm.model);
    const file = (name: string) => readFileSync(join(adapter, name));
    const config = file('adapter_config.json').toString();
    await lora.loadAdapter('a', { config, weights: new Uint8Array(file('adapter_model.safetensors')) });
    lora.setScale('a', scale);
    lora.setAdapter('a');
  }
  return rt.noGrad(() => {
    const ids = Int32Array.from({ length: 16 }, (_, i) => (7 * i + 3) % 90);
    return Float32Array.from(lm.model.forward(rt.tensor(ids, [1, 16])).toArray()).slice(-lm.config.vocabSize);
  });
}

function farthest(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  const largest = a.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0) / largest;
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lora-wasm merge '));
  command = new ServedCommand(folder);
  mkdirSync(path('full'));
  writeFileSync(path('full/x'), '');
});
afterAll(() => {
  command.stop();
  rmSync(folder, { recursive: true });
});

describe('a merged folder', () => {
  test.each(readdirSync(golden('tiny')).filter((name) => !/16$/.test(name)))(
    'of %s gives what model and adapter give',
    async (name) => {
      const [model, adapter] = [golden(`tiny/${name}/model`), golden(`tiny/${name}/adapter`)];
      const { status, stderr } = await merge('--model', model, '--adapter', adapter, '--out', name);
      expect([status, stderr]).toEqual([0, '']);
      expect(farthest(await logits(path(name), null), await logits(model, adapter))).toBeLessThan(1e-5);
      expect(farthest(await logits(path(name), null), await logits(model, null))).toBeGreaterThan(1e-3);
    },
  );

  test('lies in shards of the size that is asked for, read as one model, with another scale', async () => {
    const [model, adapter] = [golden('tiny/llama/model'), golden('tiny/llama/adapter')];
    const args = ['--model', model, '--adapter', `${adapter}:0.5`, '--out', 'shards', '--shard-size', '0.02'];
    const { stdout } = await merge(...args, '--json');
    const { files, dtype } = JSON.parse(stdout);
    expect([files.length > 4, dtype]).toEqual([true, 'f32']);
    expect(readdirSync(path('shards')).sort()).toEqual([...files].sort());
    expect(farthest(await logits(path('shards'), null), await logits(model, adapter, 0.5))).toBeLessThan(
      1e-5,
    );
  });

  test.each(['f16', 'bf16'] as const)('in %s has the rounding of that type, and says so', async (dtype) => {
    const [model, adapter] = [golden('tiny/llama/model'), golden('tiny/llama/adapter')];
    expect(
      await merge('--model', model, '--adapter', adapter, '--out', dtype, '--dtype', dtype),
    ).toMatchObject({ status: 0 });
    const off = farthest(await logits(path(dtype), null), await logits(model, adapter));
    expect(off).toBeGreaterThan(1e-6);
    expect(off).toBeLessThan(dtype === 'f16' ? 5e-3 : 5e-2);
    expect(JSON.parse(readFileSync(path(dtype, 'config.json'), 'utf8')).torch_dtype).toBe(
      dtype === 'f16' ? 'float16' : 'bfloat16',
    );
  });

  test('of a model of 16 bits keeps its type', async () => {
    const [model, adapter] = [golden('tiny/bf16/model'), golden('tiny/bf16/adapter')];
    const { stdout } = await merge('--model', model, '--adapter', adapter, '--out', 'kept', '--json');
    expect(JSON.parse(stdout).dtype).toBe('bf16');
  });

  test('of a quantised GGUF file has its values as numbers, and a config made of its header', async () => {
    cpSync(golden('gguf/q8_0.gguf'), path('q8.gguf'));
    const model = path('q8.gguf');
    const adapter = await adapterFor(model);
    expect(await merge('--model', model, '--adapter', adapter, '--out', 'q8', '--dequantise')).toMatchObject({
      status: 0,
    });
    expect(farthest(await logits(path('q8'), null), await logits(model, adapter))).toBeLessThan(1e-4);
    expect(JSON.parse(readFileSync(path('q8/config.json'), 'utf8'))).toMatchObject({
      model_type: 'llama',
      torch_dtype: 'float32',
    });
  });
});

/** An adapter of all linear layers, with a B that is not zero. */
async function adapterFor(model: string): Promise<string> {
  using rt = await createRuntime({ kernels: 'simd', threads: 1, seed: 3 });
  const lm = await loadModel(rt, model);
  const lora = LoraModel.attach(lm.model, { r: 2, loraAlpha: 4, targetModules: 'all-linear' });
  for (const [name, parameter] of lora.namedParameters())
    if (parameter.requiresGrad && name.includes('lora_B'))
      parameter.set(Float32Array.from({ length: parameter.size }, (_, i) => Math.sin(i) / 4));
  mkdirSync(path('made'), { recursive: true });
  for (const [name, bytes] of Object.entries(lora.exportAdapter())) writeFileSync(path('made', name), bytes);
  return path('made');
}

test.each<[MergeType, number, number]>([
  ['f32', 3.4e38, Number.POSITIVE_INFINITY],
  // The largest numbers that are rounded down to the largest of the type, and the first that are not.
  ['f16', 65519, 65520],
  ['bf16', 3.396e38, 3.397e38],
])('in %s a tensor may hold %d, and %d is refused by its name', async (dtype, largest, more) => {
  const write = (value: number) => {
    const tensor = { name: 'a.weight', shape: [2], values: () => Float32Array.of(1, value) };
    return writeShards(folder, dtype, 1e6, [tensor], new AbortController().signal);
  };
  expect(await write(largest)).toEqual(['model.safetensors']);
  await expect(write(-more)).rejects.toThrow(`'a.weight': element 1 is -`);
  await expect(write(more)).rejects.toThrow(`expected finite numbers of ${dtype}`);
  expect(readdirSync(folder).filter((name) => name.startsWith('model.safetensors'))).toEqual([
    'model.safetensors',
  ]);
  rmSync(path('model.safetensors'));
});

describe('refused is', () => {
  const args = ['--model', golden('tiny/llama/model'), '--adapter', golden('tiny/llama/adapter')];
  test.each<[string, string[], RegExp]>([
    ['no adapter', ['--model', golden('tiny/llama/model'), '--out', 'x'], /there is no --adapter/],
    ['a folder that has something', [...args, '--out', 'full'], /full: the folder is not empty/],
    [
      'a quantised model as it is',
      ['--model', golden('gguf/q4_0.gguf'), '--adapter', 'full', '--out', 'x'],
      /q4_0\.gguf: the model is quantised, .* expected --dequantise/,
    ],
    ['a type that is none', [...args, '--out', 'x', '--dtype', 'f64'], /Allowed choices are f32, f16, bf16/],
  ])('%s', async (_, given, message) => {
    const { status, stderr } = await merge(...given);
    expect(stderr).toMatch(message);
    expect(status).toBe(1);
  });
});
