/** Hosts in pages of a real Chromium: the runner bundled by Vite and served with the headers that shared memory needs. */
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium } from 'playwright';
import { build, type Plugin } from 'vite';
import { compile } from '../compile.js';
import type { Ceilings } from '../records.js';
import { hostOver, type Remote } from './node-host.js';
import type { PageCalls } from './page.js';

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking'];
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const OUT = here('../out/page/');

export interface PageEngine {
  readonly version: string;
  /** A page of its own. */
  open(): Promise<Remote & { ceilings(): Promise<Ceilings> }>;
  close(): Promise<void>;
}

/** Bundles, serves and launches. @throws Error when Chromium does not start */
export async function startChromium(executablePath: string): Promise<PageEngine> {
  await bundle();
  await Promise.all([
    compile('naive'),
    compile('ceiling', ['simd']),
    compile('ceiling', ['simd', 'relaxed-simd']),
  ]);
  const server = await serve();
  const browser = await chromium.launch({ executablePath, args: FLAGS });
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return {
    version: browser.version(),
    open: () => openPage(browser, address),
    close: async () => {
      await browser.close();
      server.close();
    },
  };
}

async function openPage(browser: Browser, address: string): ReturnType<PageEngine['open']> {
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  await page.goto(address);
  try {
    await page.waitForFunction(() => 'peersPage' in globalThis, null, { timeout: 30_000 });
  } catch {
    throw new Error(`openPage: the runner did not start: ${complaints.join('; ')}`);
  }
  const host = hostOver((method, args) =>
    page.evaluate(
      ([name, values]) => (globalThis as unknown as { peersPage: PageCalls }).peersPage.call(name, values),
      [method, args] as const,
    ),
  );
  const ceilings = async (): Promise<Ceilings> => ({
    ...(await page.evaluate(() => (globalThis as unknown as { peersPage: PageCalls }).peersPage.ceilings())),
    readGBs: null,
  });
  return { host, ceilings, close: () => page.close() };
}

/** A package that is not installed becomes a module that says so when it is imported. */
function missingPackages(): Plugin {
  const mark = '\0missing:';
  return {
    name: 'missing-packages',
    enforce: 'pre',
    async resolveId(source, importer, options) {
      if (importer === undefined || !importer.startsWith(here('./')) || importer.includes('node_modules'))
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

async function bundle(): Promise<void> {
  await build({
    configFile: false,
    root: here('./'),
    logLevel: 'error',
    plugins: [missingPackages()],
    resolve: { alias: [{ find: /^lora-wasm$/, replacement: here('../../dist/index.js') }] },
    build: {
      outDir: OUT,
      emptyOutDir: true,
      target: 'esnext',
      minify: false,
      rollupOptions: { input: here('./page.ts'), output: { entryFileNames: 'page.js' } },
    },
  });
}

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html',
  js: 'text/javascript',
  mjs: 'text/javascript',
  wasm: 'application/wasm',
};

/** `/` the page, `/files/<package>/` that package's dist, `/compiled/` the benchmark's modules, else the bundle. */
function fileOf(path: string): string {
  const file = /^\/files\/(.+)\/([^/]+)$/.exec(path);
  if (file !== null) return here(`./node_modules/${file[1]}/dist/${file[2]}`);
  if (path.startsWith('/compiled/')) return here(`../out/${path.slice(10)}`);
  return OUT + path.slice(1);
}

async function serve(): Promise<Server> {
  const server = createServer(async ({ url = '/' }, response) => {
    const path = url.split('?')[0]!;
    const type = path === '/' ? 'text/html' : TYPES[path.split('.').at(-1)!];
    const headers = {
      'Content-Type': type ?? 'application/octet-stream',
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
    };
    try {
      const body =
        path === '/'
          ? '<!doctype html><title>peers</title><script type="module" src="/page.js"></script>'
          : await readFile(fileOf(path));
      response.writeHead(200, headers).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}
