/**
 * What a page loads, as esbuild bundles and minifies it, gzipped with level 9; 1 KB is 1,000 bytes. The bundle's own list of
 * its inputs says what is in it.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build, type Metafile } from 'esbuild';
import { beforeAll, expect, test } from 'vitest';
import { extractQuickstart } from '../browser/quickstart.js';

const ROOT = new URL('../../', import.meta.url);
const README = readFileSync(new URL('README.md', ROOT), 'utf8');

interface Bundle {
  /** Gzipped, in units of 1,000 bytes. */
  readonly size: number;
  /** Of what is loaded when threads are asked for, gzipped like `size`. */
  readonly threads: number;
  /** Modules of dist with code in the bundle. */
  readonly modules: readonly string[];
}

const gzipped = (bytes: Uint8Array): number => gzipSync(bytes, { level: 9 }).length / 1000;

/** Code that imports the package, for a page: what it loads at its start. Threads are a chunk of their own, loaded when asked for. */
async function bundle(contents: string): Promise<Bundle> {
  const entry = fileURLToPath(new URL('dist/index.js', ROOT));
  const { outputFiles, metafile } = await build({
    stdin: { contents, resolveDir: fileURLToPath(ROOT), loader: 'ts' },
    alias: { 'lora-wasm': entry },
    tsconfigRaw: '{}',
    bundle: true,
    minify: true,
    splitting: true,
    format: 'esm',
    write: false,
    metafile: true,
    outdir: 'page',
  });
  const modules: string[] = [];
  let [size, threads] = [0, 0];
  const start = loadedAtStart(metafile.outputs);
  for (const path of Object.keys(metafile.outputs)) {
    const bytes = gzipped(outputFiles.find((file) => file.path.endsWith(path))!.contents);
    const inputs = Object.entries(metafile.outputs[path]!.inputs)
      .filter(([input, { bytesInOutput }]) => bytesInOutput > 0 && input !== '<stdin>')
      .map(([input]) => input.replace(/^.*dist\//, ''));
    if (start.has(path)) {
      size += bytes;
      modules.push(...inputs);
    } else if (inputs.includes('engine/pool/start.js')) threads += bytes;
  }
  return { size, threads, modules };
}

/** The entry, and the chunks that it imports before it runs. */
function loadedAtStart(outputs: Metafile['outputs']): Set<string> {
  const entry = Object.keys(outputs).find((path) => outputs[path]!.entryPoint === '<stdin>')!;
  const loaded = new Set([entry]);
  for (const path of loaded)
    for (const chunk of outputs[path]!.imports) if (chunk.kind === 'import-statement') loaded.add(chunk.path);
  return loaded;
}

let quickstart: Bundle;
let least: Bundle;

beforeAll(async () => {
  quickstart = await bundle(extractQuickstart(README));
  least = await bundle(
    "import { createRuntime, Linear } from 'lora-wasm'; console.log(createRuntime, Linear);",
  );
});

test('the quickstart is at most 100 KB of JavaScript', () => {
  expect(quickstart.size).toBeLessThanOrEqual(100);
});

test('the quickstart holds no reader and no writer of other formats than PEFT, nor the command', () => {
  expect(quickstart.modules).toContain('lora/lora-model.js');
  const others = /^cli\/|^node\.js|gguf|mlx|kohya\.js|loralib|convert|read-adapter/;
  expect(quickstart.modules.filter((path) => others.test(path))).toEqual([]);
});

test('createRuntime and Linear alone are at most 18 KB', () => {
  expect(least.size).toBeLessThanOrEqual(18);
  expect(least.modules.filter((path) => /^(lora|optim|formats)\//.test(path))).toEqual([]);
});

test('a page that has all kernel builds carries nothing of what an entry with one says', () => {
  for (const { modules } of [quickstart, least]) {
    expect(modules).toContain('engine/packaged.js');
    expect(modules).not.toContain('engine/one-build.js');
  }
});

test('a page carries nothing of Node, nor what starts threads or says why kernels did not load before it needs them', () => {
  for (const { modules } of [quickstart, least]) {
    expect(modules).toContain('platform/browser.js');
    const later = /^platform\/node|^engine\/pool\/start|^engine\/kernel-faults/;
    expect(modules.filter((path) => later.test(path))).toEqual([]);
  }
});

const BUILDS = ['simd', 'relaxed-simd', 'simd-threads', 'relaxed-simd-threads'];
const kernels = (name: string): number => gzipped(readFileSync(new URL(`build/${name}.wasm`, ROOT)));

test.each(BUILDS)('the kernels %s are at most 45 KB', (name) => {
  expect(kernels(name)).toBeLessThanOrEqual(45);
});

test('the README states the whole size', () => {
  const found =
    /loads (\d+) KB, gzipped: (\d+) of JavaScript and (\d+) of kernels.*alone are ([\d.]+) KB.*starts threads, ([\d.]+) KB/.exec(
      README,
    )!;
  const [whole, script, binary, alone, threads] = found.slice(1).map(Number) as [
    ...[number, number, number],
    ...[number, number],
  ];
  expect(whole).toBe(script + binary);
  // Two are free, so that not every change of the sources is one of the page.
  expect(Math.abs(script - quickstart.size)).toBeLessThan(2.5);
  expect(Math.abs(binary - kernels('simd'))).toBeLessThan(2.5);
  expect(Math.abs(alone - least.size)).toBeLessThan(0.5);
  expect(Math.abs(threads - least.threads)).toBeLessThan(0.5);
});
