/** Folders that the command and the stores make: with those that they lie in, and an error where there can be none. */
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeFolder } from '../../src/platform/make-folder.js';

test('a folder is made with those that it lies in, and one that is there stays', async () => {
  const root = mkdtempSync(join(tmpdir(), 'lora-wasm-folder-'));
  try {
    const path = join(root, 'a', 'b', 'c');
    await Promise.all([makeFolder(path), makeFolder(path)]);
    await makeFolder(path);
    await makeFolder('.');
    expect(statSync(path).isDirectory()).toBe(true);
    writeFileSync(join(root, 'file'), '');
    await expect(makeFolder(join(root, 'file'))).rejects.toThrow('EEXIST');
    await expect(makeFolder(join(root, 'file', 'x'))).rejects.toThrow('ENOTDIR');
  } finally {
    rmSync(root, { recursive: true });
  }
});

// A new name in /proc is none that is there, though its folder is.
test.skipIf(process.platform !== 'linux')(
  'where a system takes no folder, it is an error and no endless try',
  async () => {
    await expect(makeFolder('/proc/lora-wasm')).rejects.toThrow('ENOENT');
    await expect(makeFolder('/proc/lora-wasm/inner')).rejects.toThrow('ENOENT');
  },
);
