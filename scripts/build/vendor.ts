/**
 * What others wrote and a page needs, bundled into `dist/vendor/`: a file each, ES modules, only the parts that are used. So
 * neither CommonJS nor a bare import is left for a page's bundler or import map to solve.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { build, type Plugin } from 'esbuild';
import { DIST, MODULES, TARGET } from './paths.js';
import { checkRe2js, replaceInOrder, trimRe2js } from './trim-re2js.js';

const VENDOR = `${DIST}vendor/`;
/** The files that a package is put into. */
const FILES = ['feature-detect', 'jinja', 'loader', 'ml-matrix', 're2js', 'tokenizers'];
/** Helpers of the bundles, which are inside them afterwards; the loader's package has its licence in the compiler's. */
const LICENCES = [
  ['@assemblyscript/loader', 'assemblyscript'],
  ['@huggingface/jinja', '@huggingface/jinja'],
  ['@huggingface/tokenizers', '@huggingface/tokenizers'],
  ['ml-matrix', 'ml-matrix'],
  ['re2js', 're2js'],
  ['wasm-feature-detect', 'wasm-feature-detect'],
] as const;

export async function bundleVendors(): Promise<void> {
  await build({
    entryPoints: FILES.map((name) => `${VENDOR}${name}.js`),
    outdir: VENDOR,
    allowOverwrite: true,
    bundle: true,
    minifySyntax: true,
    minifyWhitespace: true,
    format: 'esm',
    target: TARGET,
    charset: 'utf8',
    plugins: [loader(), decompositions(), patterns()],
    logLevel: 'warning',
  });
  checkRe2js(readFileSync(`${VENDOR}re2js.js`, 'utf8'));
  writeFileSync(`${VENDOR}LICENSES.txt`, licences());
}

/**
 * AssemblyScript's loader for what it is given here, modules, and for what is taken of it, the instance: without the imports
 * that a standard library would want, the wrapped exports, and its look at `Response`, at which Node compiles a parser in a
 * memory of its own.
 */
function loader(): Plugin {
  return {
    name: 'loader',
    setup({ onLoad }) {
      onLoad({ filter: /[\\/]loader[\\/]index\.js$/ }, ({ path }) => ({
        contents: cutLoader(readFileSync(path, 'utf8')),
      }));
    },
  };
}

/** @throws Error when the loader has another form */
function cutLoader(code: string): string {
  // In their order; the last three inside `instantiate`.
  const cuts = [
    ['const utf16 = new TextDecoder("utf-16le", { fatal: true });', ''],
    ['Object.hasOwn = Object.hasOwn || ', 'const hasOwn = '],
    ['export async function instantiate(', 'export async function instantiate('],
    [
      'if (isResponse(source = await source)) return instantiateStreaming(source, imports);',
      'source = await source;',
    ],
    ['const extended = preInstantiate(imports);', ''],
    ['const exports = postInstantiate(extended, instance);', 'const { exports } = instance;'],
  ] as const;
  return replaceInOrder('the loader', code, cuts);
}

/** Of ml-matrix the two decompositions as they are, over a matrix of the few methods that they call. */
function decompositions(): Plugin {
  const small = `${VENDOR}small-matrix.js`;
  const folder = `${MODULES}ml-matrix/src/`;
  return {
    name: 'decompositions',
    setup({ onLoad, onResolve }) {
      onResolve({ filter: /^ml-matrix$/ }, ({ path }) => ({
        path,
        namespace: 'decompositions',
        sideEffects: false,
      }));
      onLoad({ filter: /.*/, namespace: 'decompositions' }, () => ({
        contents: `export { SmallMatrix as Matrix } from '${small}';
          export { default as QrDecomposition } from '${folder}dc/qr.js';
          export { default as SingularValueDecomposition } from '${folder}dc/svd.js';`,
        resolveDir: VENDOR,
      }));
      // Both ask the wrapper only whether what they are given is a matrix.
      onResolve({ filter: /^\.\.\/(matrix|wrap\/WrapperMatrix2D)$/ }, () => ({ path: small }));
    },
  };
}

/** @throws Error when RE2JS has another form */
function patterns(): Plugin {
  return {
    name: 'patterns',
    setup({ onLoad }) {
      onLoad({ filter: /[\\/]re2js[\\/]build[\\/]index\.js$/ }, ({ path }) => ({
        contents: trimRe2js(readFileSync(path, 'utf8'), `${VENDOR}unicode-ranges.js`),
      }));
    },
  };
}

function licences(): string {
  const parts = LICENCES.map(([name, holder]) => {
    const { version, license } = JSON.parse(readFileSync(`${MODULES}${name}/package.json`, 'utf8')) as {
      version: string;
      license: string;
    };
    const file = readdirSync(`${MODULES}${holder}`).find((entry) => /^licen[cs]e/i.test(entry));
    if (file === undefined || !existsSync(`${MODULES}${holder}/${file}`))
      throw new Error(`build: ${name} has no licence beside it, expected one`);
    const text = readFileSync(`${MODULES}${holder}/${file}`, 'utf8').trim();
    return `${name} ${version} (${license})\n\n${text}\n`;
  });
  return `This folder holds parts of these packages.\n\n${parts.join(`\n${'-'.repeat(78)}\n\n`)}`;
}
