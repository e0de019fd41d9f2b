/** Writes the source of shapes into `bench/out/` and compiles it for a build. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { compileFile } from '../core/compile.js';
import type { Build } from './shapes.js';

const FEATURES: Readonly<Record<Build, readonly string[]>> = {
  simd: ['simd'],
  'relaxed-simd': ['simd', 'relaxed-simd'],
};

/** The module's bytes: whether this engine can run them is for the caller to ask. @param name - of the file in `out/` */
export function compileTiles(
  source: string,
  build: Build,
  name = 'variants',
): Promise<Uint8Array<ArrayBuffer>> {
  const folder = fileURLToPath(new URL('../out/', import.meta.url));
  const file = `${folder}${name}.ts`;
  mkdirSync(folder, { recursive: true });
  // Left alone where nothing changed: its date says whether the module is still good.
  if (!existsSync(file) || readFileSync(file, 'utf8') !== source) writeFileSync(file, source);
  return compileFile(file, name, FEATURES[build]);
}
