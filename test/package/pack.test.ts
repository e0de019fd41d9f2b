/**
 * The tarball that npm would publish, unpacked as another project's dependency, in a folder whose name has a space and a
 * `#`: what is in it, and that import and require of it compute. The dependencies are links to this repository's.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { afterAll, beforeAll, expect, test } from 'vitest';

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));

interface Manifest {
  readonly dependencies: Record<string, string>;
  readonly bin?: Record<string, string>;
  readonly scripts: Record<string, string>;
}

const INLINE = ['/inline', '/inline/relaxed-simd', '/inline/simd-threads', '/inline/relaxed-simd-threads'];

let folder = '';
let project = '';
let installed = '';
let files: string[] = [];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lora-wasm-'));
  project = join(folder, 'a project #1');
  installed = join(project, 'node_modules', 'lora-wasm');
  const output = run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], REPOSITORY);
  const [packed] = JSON.parse(output) as [{ filename: string; files: { path: string }[] }];
  files = packed.files.map(({ path }) => path);
  run('tar', ['-xzf', packed.filename], folder);
  mkdirSync(dirname(installed), { recursive: true });
  cpSync(join(folder, 'package'), installed, { recursive: true });
  for (const name of Object.keys(manifest().dependencies)) {
    const link = join(project, 'node_modules', name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(REPOSITORY, 'node_modules', name), link);
  }
  writeFileSync(join(project, 'package.json'), '{ "name": "somebody", "private": true }');
}, 60_000);

afterAll(() => {
  if (folder !== '') rmSync(folder, { recursive: true, force: true });
});

function run(command: string, args: string[], cwd: string): string {
  return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function manifest(): Manifest {
  return JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as Manifest;
}

/** One linear layer in the package: y = x · Wᵀ + b, and the build that computed it. */
const COMPUTE = `createRuntime({ threads: 2 }).then((rt) => {
  const layer = new Linear(rt, 2, 1);
  layer.loadStateDict({ weight: { dtype: 'F32', shape: [1, 2], data: new Float32Array([3, 4]) },
                        bias: { dtype: 'F32', shape: [1], data: new Float32Array([5]) } });
  console.log(layer.forward(rt.tensor([10, 100], [1, 2])).item(), rt.info().platform, rt.info().threads);
})`;

test('the tarball holds what is needed to run, and nothing else', () => {
  for (const path of [
    'dist/index.js',
    'dist/index.d.ts',
    'build/simd.wasm',
    'build/relaxed-simd.wasm',
    'build/simd-threads.wasm',
    'build/relaxed-simd-threads.wasm',
    'dist/worker.js',
    'dist/vendor/LICENSES.txt',
    'docs/bundlers.md',
    'README.md',
    'LICENSE',
  ]) {
    expect(files).toContain(path);
  }
  expect(files.filter((path) => !/^(dist|build|docs)\/|^[A-Z]+(\.md)?$|^package\.json$/.test(path))).toEqual(
    [],
  );
  expect(files.filter((path) => /\.test\.|^(dist|build)\/(.*\/)?(test|reference)\//.test(path))).toEqual([]);
  for (const path of Object.values(manifest().bin ?? {})) expect(files).toContain(path.replace('./', ''));
});

test('installing it runs no script', () => {
  const atInstall = ['preinstall', 'install', 'postinstall'];
  expect(Object.keys(manifest().scripts).filter((name) => atInstall.includes(name))).toEqual([]);
});

test('require computes, from a folder with a space and a # in its name', () => {
  const code = `const { createRuntime, Linear } = require('lora-wasm'); ${COMPUTE}`;
  expect(run(process.execPath, ['-e', code], project)).toBe('435 node 2\n');
});

test('import computes, from a folder with a space and a # in its name', () => {
  const code = `import { createRuntime, Linear } from 'lora-wasm'; await ${COMPUTE}`;
  expect(run(process.execPath, ['--input-type=module', '-e', code], project)).toBe('435 node 2\n');
});

test('every entry can be imported and required', () => {
  const entries = ['', '/formats', '/models', '/train', '/node', ...INLINE].map((name) => `lora-wasm${name}`);
  const code = `for (const entry of ${JSON.stringify(entries)}) {
    const names = Object.keys(await import(entry));
    const { createRequire } = await import('node:module');
    if (names.length === 0 || !(names[0] in createRequire(process.cwd() + '/x.js')(entry))) throw new Error(entry);
  } console.log('ok');`;
  expect(run(process.execPath, ['--input-type=module', '-e', code], project)).toBe('ok\n');
});

test('the command runs', () => {
  const path = manifest().bin?.['lora-wasm'] ?? '';
  expect(readFileSync(join(installed, path), 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/);
  expect(run(process.execPath, [join(installed, path), '--help'], project)).toContain(
    'convert [options] <in> <out>',
  );
});

test('publint finds no fault', async () => {
  const found = await publint({ pkgDir: installed, pack: false, strict: true });
  // It suggests a condition in `exports` for the one file that `browser` replaces, inside of the package: that cannot be said there.
  const messages = found.messages.filter(({ type }) => type !== 'suggestion');
  expect(messages.map((message) => formatMessage(message, manifest() as never, { color: false }))).toEqual(
    [],
  );
});
