/**
 * `npm run build:sizes`: writes the sizes of the inline entries into docs/bundlers.md. A test holds the page to the build.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { transform } from 'esbuild';
import { INLINE_BUILDS } from './inline.js';
import { DIST, ROOT } from './paths.js';

const PAGE = `${ROOT}docs/bundlers.md`;
const BLOCK = /(<!-- inline sizes[^>]*-->\n)[\s\S]*?(<!-- end -->)/;

/** Bytes in units of 1,000. */
const kb = (bytes: number): string => `${Math.round(bytes / 1000)} KB`;

/** The page with the sizes of the build that lies in dist. */
export async function withSizes(page: string): Promise<string> {
  const rows = ['| import | kernels | threads | minified | gzipped |', '| --- | --- | --- | --- | --- |'];
  for (const name of INLINE_BUILDS) {
    const { code } = await transform(readFileSync(`${DIST}inline/${name}.js`, 'utf8'), { minify: true });
    const entry = name === 'simd' ? 'lora-wasm/inline' : `lora-wasm/inline/${name}`;
    const zipped = gzipSync(code, { level: 9 }).length;
    const threads = name.endsWith('-threads') ? 'where they can be had' : 'one';
    const kernels = name.replace('-threads', '');
    rows.push(`| \`${entry}\` | \`${kernels}\` | ${threads} | ${kb(code.length)} | ${kb(zipped)} |`);
  }
  return page.replace(BLOCK, `$1${rows.join('\n')}\n$2`);
}

if (process.argv[1]?.endsWith('sizes.ts')) writeFileSync(PAGE, await withSizes(readFileSync(PAGE, 'utf8')));
