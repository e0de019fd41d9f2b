/** The files of the tiny model in a folder of their own, for the tests of the command. */
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { tinyFiles } from '../support/tiny-golden.js';

export async function saveTiny(folder: string, files: ReturnType<typeof tinyFiles>): Promise<void> {
  mkdirSync(folder);
  for (const [file, source] of files) {
    const to = join(folder, file);
    if (source instanceof URL) cpSync(source, to);
    else if (source instanceof Blob) writeFileSync(to, new Uint8Array(await source.arrayBuffer()));
  }
}
