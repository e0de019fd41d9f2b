/**
 * Vite plugin of the browser project: what a test imports from `src/` comes from the built twin in `dist/`, so that the
 * page runs what is published. `src/reference` is not published and stays as it is. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vitest/config';

const SRC = fileURLToPath(new URL('../../src/', import.meta.url));
const DIST = fileURLToPath(new URL('../../dist/', import.meta.url));
const ENTRIES: Readonly<Record<string, string>> = {
  'lora-wasm': 'index.js',
  'lora-wasm/formats': 'formats/index.js',
  'lora-wasm/models': 'models/index.js',
  'lora-wasm/train': 'train/index.js',
};

export function builtPackage(): Plugin {
  return {
    name: 'lora-wasm:built-package',
    enforce: 'pre',
    async resolveId(source, importer, options) {
      const entry = ENTRIES[source];
      if (entry !== undefined) return DIST + entry;
      const resolved = await this.resolve(source, importer, { ...options, skipSelf: true });
      if (resolved === null || !resolved.id.startsWith(SRC)) return resolved;
      const twin = DIST + resolved.id.slice(SRC.length).replace(/\.ts$/, '.js');
      return existsSync(twin) ? twin : resolved;
    },
  };
}
