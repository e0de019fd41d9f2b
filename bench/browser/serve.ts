/**
 * Bundles a page by Vite into `out/page/`, over the sources of the package, and serves it on this machine alone, with the headers that
 * shared memory needs.
 */
import { symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type InlineConfig, type Plugin, preview } from 'vite';
import { COMPILED } from '../core/compile.js';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const FOLDER = here('../out/page');

const PAGE =
  '<!doctype html><title>lora-wasm benchmark</title><script type="module" src="/page.js"></script>';

/** Files and folders that the page may ask for beside its bundle and `/compiled/`, by their names there. */
export type Links = Readonly<Record<string, string>>;

/** Bundles the entry and serves its page, until `close()`. */
export async function servePage(
  entry: URL,
  links: Links,
): Promise<{ readonly address: string; close(): Promise<void> }> {
  const shared: InlineConfig = {
    ...{ configFile: false, root: here('./'), logLevel: 'error', appType: 'mpa' },
  };
  await build({
    ...shared,
    plugins: [missingPackages(fileURLToPath(new URL('./', entry))), builtWorker()],
    worker: { format: 'es', plugins: () => [builtWorker()] },
    resolve: {
      alias: [
        { find: /^lora-wasm$/, replacement: here('../../src/index.ts') },
        { find: /^lora-wasm\/models$/, replacement: here('../../src/models/index.ts') },
      ],
    },
    build: {
      outDir: FOLDER,
      emptyOutDir: true,
      target: 'esnext',
      minify: false,
      rollupOptions: { input: fileURLToPath(entry), output: { entryFileNames: 'page.js' } },
    },
  });
  writeFileSync(join(FOLDER, 'index.html'), PAGE);
  for (const [name, path] of Object.entries({ ...links, compiled: COMPILED }))
    symlinkSync(resolve(path), join(FOLDER, name));
  const headers = {
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Embedder-Policy': 'require-corp',
  };
  const server = await preview({
    ...shared,
    build: { outDir: FOLDER },
    preview: { host: '127.0.0.1', port: 0, headers },
  });
  return { address: server.resolvedUrls!.local[0]!, close: () => server.close() };
}

/** What an entry imports and finds no package for becomes a module that says so when it is imported. */
function missingPackages(folder: string): Plugin {
  const mark = '\0missing:';
  return {
    name: 'missing-packages',
    enforce: 'pre',
    async resolveId(source, importer, options) {
      if (importer === undefined || !importer.startsWith(folder) || importer.includes('node_modules'))
        return null;
      const resolved = await this.resolve(source, importer, { ...options, skipSelf: true });
      return resolved ?? mark + source;
    },
    load(id) {
      if (!id.startsWith(mark)) return null;
      return `throw new Error("Cannot find package '${id.slice(mark.length)}'"); export default null;`;
    },
  };
}

/** The sources name the pool's script as it lies in the built package, where alone it is one file. */
function builtWorker(): Plugin {
  const written = "new URL('../worker.js', import.meta.url)";
  return {
    name: 'built-worker',
    enforce: 'pre',
    transform(code, id) {
      if (!id.startsWith(here('../../src/')) || !code.includes(written)) return null;
      const path = relative(dirname(id), here('../../dist/worker.js')).replaceAll('\\', '/');
      return code.replace(written, `new URL('${path}', import.meta.url)`);
    },
  };
}
