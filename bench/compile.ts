/** Compiles one of the benchmark's own AssemblyScript files into `out/`, when its source is newer than the last build. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** @returns the module's bytes @throws Error when asc refuses the source */
export async function compile(
  name: string,
  features: readonly string[] = [],
): Promise<Uint8Array<ArrayBuffer>> {
  const source = fileURLToPath(new URL(`./assembly/${name}.ts`, import.meta.url));
  const config = fileURLToPath(new URL('./assembly/asconfig.json', import.meta.url));
  const file = [name, ...features].join('-');
  const binary = fileURLToPath(new URL(`./out/${file}.wasm`, import.meta.url));
  if (!existsSync(binary) || statSync(binary).mtimeMs < statSync(source).mtimeMs) {
    const { main } = await import('assemblyscript/asc');
    const enable = features.flatMap((feature) => ['--enable', feature]);
    const baseDir = fileURLToPath(new URL('./assembly/', import.meta.url));
    const args = [
      `${name}.ts`,
      '--config',
      config,
      '--baseDir',
      baseDir,
      ...enable,
      '-o',
      `../out/${file}.wasm`,
    ];
    const { error, stderr } = await main(args);
    if (error !== null) throw new Error(`compile: asc refused ${name}.ts: ${stderr.toString()}`);
  }
  return new Uint8Array(readFileSync(binary));
}
