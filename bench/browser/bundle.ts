/** Bundles the page of every suite and of the peers by Vite into `out/page/`, over the sources of the package. */
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'vite';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const PEERS = here('../peers/');

/** Where the bundle lies, ending in a slash. */
export const PAGE_FOLDER = here('../out/page/');

export async function bundlePage(): Promise<void> {
  await build({
    configFile: false,
    root: here('./'),
    logLevel: 'error',
    plugins: [missingPeers()],
    worker: { format: 'es' },
    resolve: {
      alias: [{ find: /^lora-wasm$/, replacement: here('../../src/index.ts') }],
    },
    build: {
      outDir: PAGE_FOLDER,
      emptyOutDir: true,
      target: 'esnext',
      minify: false,
      rollupOptions: { input: here('./page.ts'), output: { entryFileNames: 'page.js' } },
    },
  });
}

/** A peer's package that is not installed becomes a module that says so when it is imported. */
function missingPeers(): Plugin {
  const mark = '\0missing:';
  return {
    name: 'missing-peers',
    enforce: 'pre',
    async resolveId(source, importer, options) {
      if (importer === undefined || !importer.startsWith(PEERS) || importer.includes('node_modules'))
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
