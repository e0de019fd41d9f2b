/**
 * `lora-wasm/inline` and its kin: the whole package in one file each, with one kernel build and the worker inside, as an ES
 * module and as CommonJS. `src/engine/packaged.ts` is what they have in another form.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { build, type Plugin } from 'esbuild';
import { DIST, KERNELS, TARGET } from './paths.js';

export const INLINE_BUILDS = ['simd', 'relaxed-simd', 'simd-threads', 'relaxed-simd-threads'] as const;

/** What stands in place of `packaged.js`. All is in one file: the start of threads too. */
function packaged(name: string): string {
  const text = readFileSync(`${KERNELS}${name}.wasm`).toString('base64');
  return `import { oneBuild } from './one-build.js';
import * as start from './pool/start.js';
export const packagedBuild = oneBuild('${name}');
export const packagedKernels = () => Uint8Array.from(atob('${text}'), (byte) => byte.charCodeAt(0));
export const packagedPool = async () => start;
`;
}

/** What stands in place of `packaged-workers.js`. */
const PACKAGED_WORKERS = `import { WORKER_TEXT } from './pool/worker-text.js';
export const packagedWorkers = () => [{ text: WORKER_TEXT }];
`;

function inlined(name: string): Plugin {
  return {
    name: 'packaged',
    setup({ onLoad }) {
      onLoad({ filter: /[\\/]dist[\\/]engine[\\/]packaged\.js$/ }, () => ({ contents: packaged(name) }));
      onLoad({ filter: /[\\/]dist[\\/]engine[\\/]packaged-workers\.js$/ }, () => ({
        contents: PACKAGED_WORKERS,
      }));
    },
  };
}

/** esbuild writes `Tensor = class _Tensor` where a class names itself inside: errors would speak of a `_Tensor`. */
function withClassNames(code: string): string {
  const renamed = new Map(
    [...code.matchAll(/\b(\w+)=class (_\1\d*)\b/g)].map(([, name, inner]) => [inner, name]),
  );
  return code.replace(/(?<![.\w$])_\w+/g, (word) => renamed.get(word) ?? word);
}

export async function buildInline(): Promise<void> {
  mkdirSync(`${DIST}inline`, { recursive: true });
  for (const name of INLINE_BUILDS) {
    for (const [format, ending] of [
      ['esm', 'js'],
      ['cjs', 'cjs'],
    ] as const) {
      const { outputFiles } = await build({
        entryPoints: [`${DIST}index.js`],
        write: false,
        bundle: true,
        // For pages and for Node, whatever package.json says of a page.
        platform: 'neutral',
        // Names stay: messages say what kind of layer they speak of.
        minifySyntax: true,
        minifyWhitespace: true,
        format,
        target: TARGET,
        charset: 'utf8',
        plugins: [inlined(name)],
        logLevel: 'warning',
      });
      writeFileSync(`${DIST}inline/${name}.${ending}`, withClassNames(outputFiles[0]!.text));
    }
  }
}
