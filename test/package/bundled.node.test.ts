import { copyFileSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { describe, expect, test } from 'vitest';
import { relaxedSimd } from 'wasm-feature-detect';
import { withSizes } from '../../scripts/build/sizes.js';
import { bundleFolder, DIST } from './bundles.js';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const KERNELS = here('../../build/');
const BUILDS = ['simd', 'relaxed-simd', 'simd-threads', 'relaxed-simd-threads'] as const;

const { path, runInline, runBundle } = bundleFolder();

/** A path or URL as text of JavaScript. */
const text = (value: string | URL): string => JSON.stringify(String(value));
const THREADED = text(join(KERNELS, 'simd-threads.wasm'));

describe('lora-wasm/inline', () => {
  test.each(['js', 'cjs'] as const)('computes where no file lies beside it (%s)', (ending) => {
    expect(runInline('simd', ending)).toMatchObject({
      kernels: 'simd',
      reason: 'the kernels of this entry',
      threads: 1,
      threadsReason: "this entry holds no kernels for threads: import 'lora-wasm/inline/simd-threads'",
    });
  });

  test.each(['js', 'cjs'] as const)('with kernels for threads has two of them (%s)', (ending) => {
    expect(runInline('simd-threads', ending, '{ threads: 2 }')).toMatchObject({
      kernels: 'simd',
      threads: 2,
    });
  });

  test('with kernels for threads computes on one too', () => {
    expect(runInline('simd-threads', 'js', '{ threads: 1 }')).toMatchObject({ kernels: 'simd', threads: 1 });
  });

  test.each(['relaxed-simd', 'relaxed-simd-threads'])('%s runs, or says what is missing', async (name) => {
    const said = runInline(name, 'js', '{ threads: 2 }');
    if (await relaxedSimd())
      expect(said).toMatchObject({ kernels: 'relaxed-simd', threads: name.endsWith('threads') ? 2 : 1 });
    else
      expect(said.error).toBe(
        "createRuntime: kernels is 'relaxed-simd', but this engine has no relaxed SIMD; expected 'auto' or 'simd', or an import of 'lora-wasm/inline'",
      );
  });

  test('names the import that has the kernels asked for', () => {
    expect(runInline('simd', 'js', "{ kernels: 'relaxed-simd' }").error).toBe(
      "createRuntime: kernels is 'relaxed-simd', but this entry holds 'simd'; expected 'auto', or an import of 'lora-wasm/inline/relaxed-simd'",
    );
  });

  test.each(BUILDS)('%s exports what lora-wasm does, in both forms', async (name) => {
    const names = Object.keys(await import(`${DIST}index.js`)).sort();
    expect(Object.keys(await import(`${DIST}inline/${name}.js`)).sort()).toEqual(names);
    const { default: commonJs } = (await import(`${DIST}inline/${name}.cjs`)) as { default: object };
    expect(Object.keys(commonJs).sort()).toEqual(names);
  });

  test('holds one kernel build and no other', () => {
    for (const name of BUILDS) {
      const code = readFileSync(`${DIST}inline/${name}.js`, 'utf8');
      const held = BUILDS.filter((other) =>
        code.includes(readFileSync(`${KERNELS}${other}.wasm`).toString('base64')),
      );
      expect(held).toEqual([name]);
    }
  });
});

test('the sizes of lora-wasm/inline in the documentation are those of the build', async () => {
  const page = readFileSync(here('../../docs/bundlers.md'), 'utf8');
  const sizesOf = (text: string): number[] =>
    [...text.matchAll(/^\| `lora-wasm\/inline.*\| (\d+) KB \| (\d+) KB \|$/gm)].flatMap(
      ([, plain, zipped]) => [Number(plain), Number(zipped)],
    );
  const [said, built] = [sizesOf(page), sizesOf(await withSizes(page))];
  expect(built).toHaveLength(8);
  // A twentieth is free, so that not every change of the sources is one of the page.
  for (const [i, size] of built.entries()) expect(Math.abs(said[i]! - size)).toBeLessThan(1 + size / 20);
});

describe('one file of esbuild', () => {
  test('says where it looked for the kernels, and what helps', async () => {
    const looked = new URL('../build/simd.wasm', pathToFileURL(path())).href;
    expect((await runBundle("{ kernels: 'simd', threads: 1 }")).error).toBe(
      `createRuntime: the kernels are not at ${looked}: no such file. Import 'lora-wasm/inline', or give createRuntime({ wasm }) the place of lora-wasm/build/simd.wasm, see docs/bundlers.md`,
    );
  });

  test('without an address of its own says so', async () => {
    expect((await runBundle("{ kernels: 'simd', threads: 1 }", { format: 'cjs' })).error).toMatch(
      /^createRuntime: the kernels have no address, since this bundle has no import\.meta\.url\. Import 'lora-wasm\/inline'/,
    );
  });

  test('starts its threads from the text of the script, whose file it does not find', async () => {
    expect(await runBundle(`{ threads: 2, wasm: ${THREADED} }`)).toMatchObject({ threads: 2 });
    expect(await runBundle(`{ threads: 2, wasm: ${THREADED} }`, { format: 'cjs' })).toMatchObject({
      threads: 2,
    });
  });

  test('takes a path from the working directory', async () => {
    copyFileSync(`${KERNELS}simd.wasm`, path('a #1 kernel.wasm'));
    expect(await runBundle("{ wasm: 'a #1 kernel.wasm', threads: 1 }")).toMatchObject({
      reason: "the given wasm holds the 'simd' kernels",
    });
    expect((await runBundle("{ wasm: './none.wasm', threads: 1 }")).error).toContain(
      `the kernels are not at ${pathToFileURL(path('none.wasm'))}`,
    );
  });

  test('for a page takes nothing from outside the package', async () => {
    const stdin = { contents: `export * from '${DIST}index.js'`, resolveDir: path() };
    const { metafile } = await build({ stdin, bundle: true, write: false, metafile: true, format: 'esm' });
    const inputs = Object.keys(metafile.inputs).filter((path) => path !== '<stdin>');
    expect(inputs.length).toBeGreaterThan(90);
    expect(inputs.filter((path) => !path.includes('dist/'))).toEqual([]);
  });
});

describe('the files of dist', () => {
  const code = (readdirSync(DIST, { recursive: true, encoding: 'utf8' }) as string[])
    .filter((path) => /\.c?js$/.test(path) && !path.startsWith('cli/'))
    .map((path) => [path, readFileSync(DIST + path, 'utf8')] as const);

  test('name files to bundlers by literals only', () => {
    const found = code.flatMap(([path, source]) =>
      [...source.matchAll(/new URL\(\s*([^,()]+),\s*import\.meta\.url\s*\)/g)].map(([, what]) => [
        path,
        what,
      ]),
    );
    expect(found).toEqual([
      ['engine/packaged-workers.js', "'../worker.js'"],
      ['engine/packaged.js', "'../../build/simd.wasm'"],
      ['engine/packaged.js', "'../../build/relaxed-simd.wasm'"],
      ['engine/packaged.js', "'../../build/simd-threads.wasm'"],
      ['engine/packaged.js', "'../../build/relaxed-simd-threads.wasm'"],
    ]);
  });

  test('have the worker as one that is a script and a module alike', () => {
    const worker = readFileSync(`${DIST}worker.js`, 'utf8');
    expect(worker).not.toMatch(/\b(import|export|require)\b/);
    expect(() => new Function(worker)).not.toThrow();
  });
});

describe('the option worker', () => {
  const script = pathToFileURL(`${DIST}worker.js`);
  const fromNode = `const { Worker } = require('node:worker_threads');`;

  test.each([
    ['a URL', `new URL(${text(script)})`],
    ['a URL as a string', text(script)],
    ['a path', text(`${DIST}worker.js`)],
    ['a function', `() => { ${fromNode} return new Worker(new URL(${text(script)})); }`],
  ])('is %s', async (_, worker) => {
    const options = `{ threads: 2, wasm: ${THREADED}, worker: ${worker} }`;
    expect(await runBundle(options, { format: 'cjs' })).toMatchObject({
      threads: 2,
      threadsReason: 'asked for by threads: 2',
    });
  });

  test('that leads nowhere leaves one thread, and names what was looked for', async () => {
    const options = `{ threads: 2, wasm: (name) => ${text(KERNELS)} + name + '.wasm', worker: './none.js' }`;
    const { threads, threadsReason } = await runBundle(options);
    expect(threads).toBe(1);
    expect(threadsReason).toMatch(/^worker 1 did not start: file:.*none\.js: Cannot find module/);
    expect(threadsReason).toMatch(/give createRuntime\(\{ worker \}\) its place, see docs\/bundlers\.md$/);
  });

  test('that makes something else leaves one thread, and says so', async () => {
    const { threadsReason } = await runBundle(`{ threads: 2, wasm: ${THREADED}, worker: () => 7 }`);
    expect(threadsReason).toContain('worker gave no Worker, expected a function that makes one');
  });

  test('of another kind is refused', async () => {
    expect((await runBundle('{ worker: 7 }')).error).toBe(
      'createRuntime: worker is 7, expected a URL, a string or a function that makes a Worker',
    );
  });
});
