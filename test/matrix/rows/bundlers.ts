/** esbuild, Rollup and Parcel by their commands, and no bundler at all. */
import { join } from 'node:path';
import { fixtureFiles, quickstartFunction } from '../fixture.js';
import { command, makeProject } from '../project.js';
import { HEADERS, pageIn, type Row } from '../row.js';

/** The page with another script than `page.js`. */
function html(files: ReadonlyMap<string, string>, script: string, head = ''): string {
  return files.get('index.html')!.replace('./page.js', script).replace('<link', `${head}<link`);
}

const IMPORT_MAP = `<script type="importmap">
      { "imports": { "lora-wasm": "./node_modules/lora-wasm/dist/index.js" } }
    </script>
    `;

/** A page without a bundler: the files of the project as they are. */
export async function unbundledProject(tarball: string): Promise<string> {
  const files = fixtureFiles();
  files.set('index.html', html(files, './page.js', IMPORT_MAP));
  return makeProject('import-map', tarball, { files });
}

const importMap: Row = {
  name: 'import map',
  quick: true,
  add: 'the map',
  threads: HEADERS,
  run: async (tarball) => pageIn(await unbundledProject(tarball)),
};

const esbuild: Row = {
  name: 'esbuild',
  quick: true,
  add: '`lora-wasm/inline`',
  threads: '`lora-wasm/inline/simd-threads`, headers',
  async run(tarball) {
    const files = fixtureFiles({
      from: 'lora-wasm/inline',
      fromForTwo: 'lora-wasm/inline/simd-threads',
    });
    files.set('dist/index.html', html(files, './page.js'));
    const folder = await makeProject('esbuild', tarball, { tools: ['esbuild'], files });
    const args = ['page.js', '--bundle', '--format=esm', '--splitting', '--minify', '--outdir=dist'];
    await command(folder, process.execPath, ['node_modules/esbuild/bin/esbuild', ...args]);
    return pageIn(join(folder, 'dist'));
  },
};

const ROLLUP = 'node_modules/rollup/dist/bin/rollup';

const rollupBare: Row = {
  name: 'Rollup 4, bare',
  quick: false,
  add: 'the path of `lora-wasm/inline`',
  threads: 'that of `lora-wasm/inline/simd-threads`, headers',
  async run(tarball) {
    const inline = './node_modules/lora-wasm/dist/inline';
    const files = fixtureFiles({ from: `${inline}/simd.js`, fromForTwo: `${inline}/simd-threads.js` });
    files.set('dist/index.html', html(files, './page.js'));
    const folder = await makeProject('rollup', tarball, { tools: ['rollup'], files });
    await command(folder, process.execPath, [ROLLUP, '-i', 'page.js', '-d', 'dist', '-f', 'es']);
    return pageIn(join(folder, 'dist'));
  },
};

const ROLLUP_CONFIG = `import resolve from '@rollup/plugin-node-resolve';
import { importMetaAssets } from '@web/rollup-plugin-import-meta-assets';
export default {
  input: 'page.js',
  output: { dir: 'dist', format: 'es' },
  plugins: [resolve({ browser: true }), importMetaAssets()],
};
`;

const rollupPlugins: Row = {
  name: 'Rollup 4, with plugins',
  quick: false,
  add: 'node-resolve, import-meta-assets',
  threads: HEADERS,
  async run(tarball) {
    const files = fixtureFiles();
    files.set('rollup.config.js', ROLLUP_CONFIG);
    files.set('dist/index.html', html(files, './page.js'));
    const tools = ['rollup', '@rollup/plugin-node-resolve', '@web/rollup-plugin-import-meta-assets'];
    const folder = await makeProject('rollup-plugins', tarball, { tools, files });
    await command(folder, process.execPath, [ROLLUP, '-c']);
    return pageIn(join(folder, 'dist'));
  },
};

const parcel: Row = {
  name: 'Parcel 2',
  quick: false,
  add: '`await` within a function',
  threads: HEADERS,
  async run(tarball) {
    // Parcel knows no top-level `await`.
    const files = fixtureFiles();
    files.set('quickstart.js', quickstartFunction());
    const run = "import('./quickstart.js').then(({ quickstart }) => quickstart())";
    files.set('page.js', files.get('page.js')!.replace("import('./quickstart.js')", run));
    const folder = await makeProject('parcel', tarball, { tools: ['parcel'], files });
    const args = ['build', 'index.html', '--no-cache', '--no-source-maps'];
    await command(folder, process.execPath, ['node_modules/parcel/lib/bin.js', ...args]);
    return pageIn(join(folder, 'dist'));
  },
};

export const bundlerRows: readonly Row[] = [esbuild, importMap, rollupBare, rollupPlugins, parcel];
