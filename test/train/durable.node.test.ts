/** What writes to disk: which file an error is of, and what is never replaced. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { writeSynced } from '../../src/node/durable.js';
import { writeAtomic } from '../../src/node.js';

test.skipIf(!existsSync('/dev/full'))('an error of a full disk names the file', async () => {
  await expect(writeSynced('/dev/full', new Uint8Array(9))).rejects.toThrow(/^\/dev\/full: ENOSPC/);
});

test.skipIf(process.platform === 'win32')(
  'a device or a pipe is not replaced, by its name or by a link',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lora-wasm-pipe-'));
    try {
      const [pipe, link] = [join(folder, 'pipe'), join(folder, 'link')];
      execFileSync('mkfifo', [pipe]);
      symlinkSync(pipe, link);
      for (const path of [pipe, link])
        await expect(writeAtomic(path, new Uint8Array(1))).rejects.toThrow(
          `writeAtomic: ${path} is a device or a pipe, expected a file, or nothing`,
        );
      expect(statSync(pipe).isFIFO()).toBe(true);
      expect(readdirSync(folder).sort()).toEqual(['link', 'pipe']);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);
