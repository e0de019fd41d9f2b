/** Compiles AssemblyScript of the benchmark's own into `out/`, when its source is newer than the last build. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ModuleName } from './peak.js';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
/** The base of the compiler's paths. */
const ROOT = here('../../');

/** What each is made of: a file of `assembly/`, and what the compiler may use. */
const MADE_OF: Readonly<Record<ModuleName, readonly [source: string, ...features: string[]]>> = {
  naive: ['naive'],
  ceiling: ['ceiling', 'simd'],
  'ceiling-relaxed': ['ceiling', 'simd', 'relaxed-simd'],
};

/** Where modules lie, ending in a slash. */
export const COMPILED = here('../out/compiled/');

/** @returns the module's bytes @throws Error when asc refuses the source */
export async function compiled(name: ModuleName): Promise<Uint8Array<ArrayBuffer>> {
  const [file, ...features] = MADE_OF[name];
  const source = here(`../assembly/${file}.ts`);
  const binary = `${COMPILED}${name}.wasm`;
  if (!existsSync(binary) || statSync(binary).mtimeMs < statSync(source).mtimeMs) {
    const { main } = await import('assemblyscript/asc');
    const { error, stderr } = await main([
      relative(ROOT, source),
      ...['--config', here('../assembly/asconfig.json')],
      ...['--baseDir', ROOT],
      ...features.flatMap((feature) => ['--enable', feature]),
      ...['-o', relative(ROOT, binary)],
    ]);
    if (error !== null) throw new Error(`compiled: asc refused ${name}: ${stderr.toString()}`);
  }
  return new Uint8Array(readFileSync(binary));
}
