/** `lora-wasm convert --to gguf --base MODEL.gguf`, built, of an adapter that was trained over that file: on to llama.cpp, and back. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { baseFromGguf, openGguf, readAdapter } from '../../src/formats/index.js';
import { memorySource } from '../../src/formats/source.js';
import { createRuntime, LoraModel } from '../../src/index.js';
import { causalLoss, loadModel } from '../../src/models/index.js';
import { Trainer } from '../../src/train/index.js';
import { tinyGguf } from '../support/tiny-model.js';
import { ServedCommand } from './served.js';

let folder = '';
let command: ServedCommand;
const read = (name: string): Uint8Array => new Uint8Array(readFileSync(join(folder, name)));

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lora-wasm convert '));
  command = new ServedCommand(folder);
});
afterAll(() => {
  command.stop();
  rmSync(folder, { recursive: true });
});

test('names tensors of the base by their shapes, and read back is the adapter that was trained', async () => {
  const model = tinyGguf();
  writeFileSync(join(folder, 'model.gguf'), model);
  using rt = await createRuntime({ kernels: 'simd', threads: 1, seed: 3 });
  using trained = await loadModel(rt, new Blob([model]));
  using lora = LoraModel.attach(trained.model, { r: 3, loraAlpha: 6, targetModules: 'all-linear' });
  const ids = Int32Array.of(3, 1, 4, 1, 5, 9, 2, 6);
  const trainer = new Trainer(lora, [ids], {
    loss: (row) => causalLoss(trained.model, rt.tensor(row, [1, row.length]), row),
    steps: 3,
  });
  for await (const _ of trainer.run());
  const files = lora.exportAdapter();
  mkdirSync(join(folder, 'adapter'));
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, 'adapter', name), bytes);

  const ran = await command.run(['convert', 'adapter', 'a.gguf', '--to', 'gguf', '--base', 'model.gguf']);
  expect(ran).toEqual({ status: 0, stdout: 'wrote a.gguf\n', stderr: '' });
  const base = await openGguf('the model', memorySource(model));
  const written = await openGguf('the adapter', memorySource(read('a.gguf')));
  const factors = [...written.tensors].map(([name, { shape }]) => {
    const [, tensor, half] = /^(.+)\.lora_([ab])$/.exec(name)!;
    const [outputs, inputs] = base.tensors.get(tensor!)!.shape;
    expect(shape, name).toEqual(half === 'a' ? [3, inputs] : [outputs, 3]);
    return name;
  });
  // Seven layers of each of two blocks.
  expect(factors).toHaveLength(2 * 7 * 2);
  expect(written.metadata.get('adapter.lora.alpha')).toBe(6);

  const config = files['adapter_config.json'];
  const own = await readAdapter({ weights: files['adapter_model.safetensors'], config });
  const back = await readAdapter({ weights: read('a.gguf'), config: null }, { base: baseFromGguf(base) });
  const plain = ({ modules }: typeof own) =>
    new Map(modules.map(({ path, r, alpha, scale, A, B }) => [path, { r, alpha, scale, A, B }]));
  expect(plain(back)).toEqual(plain(own));
  expect(own.modules.some(({ path, B }) => /q_proj$/.test(path) && B.data.some((value) => value !== 0))).toBe(
    true,
  );

  using fresh = await loadModel(rt, new Blob([model]));
  using other = LoraModel.attach(fresh.model);
  await other.loadAdapter('back', back);
  other.setAdapter('back');
  const logits = (one: typeof fresh) =>
    rt.scope(() => rt.noGrad(() => one.model.forward(rt.tensor(ids, [1, ids.length])).toArray()));
  expect(logits(fresh)).toEqual(logits(trained));
});
