/** Saving an adapter to a folder: what cannot be saved is told in the words of what was called, and nothing is written. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { AdapterError, createRuntime, FormatError, Linear, LoraModel, Sequential } from '../../src/index.js';
import { saveAdapter, writeAtomic } from '../../src/node.js';

const rt = await createRuntime({ kernels: 'simd', threads: 1 });
const attach = (): LoraModel =>
  LoraModel.attach(new Sequential(new Linear(rt, 3, 2)), { r: 1, targetModules: ['0'] });

test('an adapter that is not there, or holds NaN, is not saved', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lora-wasm-save-'));
  try {
    const lora = attach();
    const missing = await saveAdapter(lora, 'mine', folder).catch((error: unknown) => error);
    expect(missing).toBeInstanceOf(AdapterError);
    expect(String(missing)).toContain("saveAdapter: there is no adapter 'mine', expected one of default");
    lora.trainableParameters()[0]!.set([1, Number.NaN, 3]);
    const broken = await saveAdapter(lora, undefined, folder).catch((error: unknown) => error);
    expect(broken).toBeInstanceOf(FormatError);
    expect(String(broken)).toMatch(/saveAdapter: tensor '.*lora_A\.weight': element 1 is NaN/);
    expect(() => lora.exportAdapter()).toThrow(/^LoraModel\.exportAdapter: tensor '.*': element 1 is NaN/);
    expect(await readdir(folder)).toEqual([]);
    const paths = await saveAdapter(lora, undefined, folder, { allowNonFinite: true });
    expect((await readdir(folder)).map((name) => join(folder, name)).sort()).toEqual([...paths].sort());
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('writeAtomic writes the bytes of an array or a buffer, and leaves the old file where it cannot', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lora-wasm-save-'));
  try {
    const path = join(folder, 'bytes');
    const { buffer } = Uint8Array.of(1, 2, 3);
    for (const bytes of [buffer, new Uint8Array(buffer, 1)]) {
      await writeAtomic(path, bytes);
      expect([...(await readFile(path))]).toEqual([...new Uint8Array(bytes)]);
    }
    await expect(writeAtomic(join(path, 'within'), buffer)).rejects.toThrow('ENOTDIR');
    expect(await readdir(folder)).toEqual(['bytes']);
  } finally {
    await rm(folder, { recursive: true });
  }
});
