/** A folder away from the package, in which its bundles run: `lora-wasm/inline` as it is built, and one file that esbuild makes. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, build } from 'esbuild';
import { afterAll, beforeAll } from 'vitest';

export const DIST = fileURLToPath(new URL('../../dist/', import.meta.url));

/** A product of whole numbers that is worth two threads, and what the runtime says of itself. */
const COMPUTE = `const compute = async (options) => {
  const rt = await createRuntime(options);
  const y = linear(rt.full([200, 300], 2), rt.full([250, 300], 3)).toArray();
  if (y.length !== 50000 || y.some((value) => value !== 1800)) throw new Error('wrong product');
  console.log(JSON.stringify(rt.info()));
  rt.dispose();
};
const main = (options) => compute(options).catch((error) => console.log(JSON.stringify({ error: error.message })));
`;

export interface Said {
  readonly kernels?: string;
  readonly reason?: string;
  readonly threads?: number;
  readonly threadsReason?: string;
  readonly error?: string;
}

/** Makes the folder before the tests of a file, and takes it away behind them. */
export function bundleFolder() {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'lora-wasm-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  let calls = 0;
  function run(file: string): Said {
    const output = execFileSync(process.execPath, [file], { cwd: folder, encoding: 'utf8' });
    return JSON.parse(output) as Said;
  }

  /** What `lora-wasm/inline` and its kin say, alone in a folder. */
  function runInline(name: string, ending: 'js' | 'cjs', options = '{}'): Said {
    const alone = ending === 'js' ? `${name}.mjs` : `${name}.cjs`;
    copyFileSync(`${DIST}inline/${name}.${ending}`, join(folder, alone));
    const names = '{ createRuntime, linear }';
    const load =
      ending === 'js' ? `import ${names} from './${alone}';` : `const ${names} = require('./${alone}');`;
    const file = join(folder, `run-${name}.${ending === 'js' ? 'mjs' : 'cjs'}`);
    writeFileSync(file, `${load}\n${COMPUTE}\nmain(${options});`);
    return run(file);
  }

  const bundles = new Map<string, Promise<unknown>>();

  /** What the package says after esbuild made one file of it, which stands beside its caller. */
  async function runBundle(
    options: string,
    { format = 'esm' }: { format?: 'esm' | 'cjs' } = {},
  ): Promise<Said> {
    const name = format === 'cjs' ? 'bundle.cjs' : 'bundle.mjs';
    const contents = `import { createRuntime, linear } from '${DIST}index.js';\n${COMPUTE}\nexport { main };`;
    const how: BuildOptions = { bundle: true, platform: 'node', format, logLevel: 'silent' };
    const stdin = { contents, resolveDir: folder };
    if (!bundles.has(name)) bundles.set(name, build({ ...how, stdin, outfile: join(folder, name) }));
    await bundles.get(name);
    const load =
      format === 'cjs' ? `const { main } = require('./${name}');` : `import { main } from './${name}';`;
    const file = join(folder, `call-${calls++}.${format === 'cjs' ? 'cjs' : 'mjs'}`);
    writeFileSync(file, `${load}\nmain(${options});`);
    return run(file);
  }

  return { path: (...parts: string[]): string => join(folder, ...parts), runInline, runBundle };
}
