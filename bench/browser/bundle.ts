/** Bundles a page by Vite into `out/page/`, over the sources of the package. */
import { dirname, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'vite';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
/** Where the bundle lies, ending in a slash. */
export const PAGE_FOLDER = here('../out/page/');

/** What an entry imports and finds no package for becomes a module that says so when it is imported. */
export async function bundlePage(entry: URL): Promise<void> {
  await build({
    configFile: false,
    root: here('./'),
    logLevel: 'error',
    plugins: [missingPackages(fileURLToPath(new URL('./', entry))), builtWorker()],
    worker: { format: 'es', plugins: () => [builtWorker()] },
    resolve: {
      alias: [
        { find: /^lora-wasm$/, replacement: here('../../src/index.ts') },
        { find: /^lora-wasm\/models$/, replacement: here('../../src/models/index.ts') },
      ],
    },
    build: {
      outDir: PAGE_FOLDER,
      emptyOutDir: true,
      target: 'esnext',
      minify: false,
      rollupOptions: { input: fileURLToPath(entry), output: { entryFileNames: 'page.js' } },
    },
  });
}

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
      return `throw new Error("Cannot find package '${id.slice(mark.length)}'")`;
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
