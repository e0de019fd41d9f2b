/** Safetensors on disk: by path and by `file:` URL, with handles that are closed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { openSafetensors, writeSafetensors } from '../../src/formats/index.js';
import { openSafetensorsFile } from '../../src/node.js';

const folder = mkdtempSync(join(tmpdir(), 'lora-wasm #1-'));
const path = join(folder, 'a.safetensors');
writeFileSync(path, writeSafetensors([['a', { shape: [2], data: Float32Array.of(1.5, -2) }]]));
afterAll(() => rmSync(folder, { recursive: true }));

test('by path', async () => {
  const { file, close } = await openSafetensorsFile(path);
  expect([...(await file.f32('a'))]).toEqual([1.5, -2]);
  await close();
  await expect(file.f32('a')).rejects.toThrow();
});

test('by file: URL', async () => {
  const file = await openSafetensors(pathToFileURL(path));
  expect([...(await file.f32('a'))]).toEqual([1.5, -2]);
});

test('a file that is none, and one that is not there', async () => {
  writeFileSync(join(folder, 'b'), 'abc');
  await expect(openSafetensorsFile(join(folder, 'b'))).rejects.toThrow('the file has 3 bytes');
  await expect(openSafetensorsFile(join(folder, 'c'))).rejects.toThrow('ENOENT');
  await expect(openSafetensors(pathToFileURL(join(folder, 'c')))).rejects.toThrow('ENOENT');
});
