/** Compiles AssemblyScript of the benchmark's own into `out/`, when its source is newer than the last build. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
/** The base of the compiler's paths. */
const ROOT = here('../../');

/** A file of `assembly/`. @returns the module's bytes @throws Error when asc refuses the source */
export async function compile(
  name: string,
  features: readonly string[] = [],
): Promise<Uint8Array<ArrayBuffer>> {
  const source = here(`../assembly/${name}.ts`);
  const binary = here(`../out/${[name, ...features].join('-')}.wasm`);
  if (!existsSync(binary) || statSync(binary).mtimeMs < statSync(source).mtimeMs) {
    const { main } = await import('assemblyscript/asc');
    const { error, stderr } = await main([
      relative(ROOT, source),
      ...['--config', here('../assembly/asconfig.json')],
      ...['--baseDir', ROOT],
      ...features.flatMap((feature) => ['--enable', feature]),
      ...['-o', relative(ROOT, binary)],
    ]);
    if (error !== null) throw new Error(`compile: asc refused ${name}: ${stderr.toString()}`);
  }
  return new Uint8Array(readFileSync(binary));
}

/** The naive product's module: scalar loops, as a first attempt would write them. */
export async function buildNaive(): Promise<WebAssembly.Module> {
  return new WebAssembly.Module(await compile('naive'));
}
