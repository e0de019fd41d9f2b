/** Serves the bundled page with the headers that shared memory needs. */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { PAGE_FOLDER } from './bundle.js';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

const PAGE =
  '<!doctype html><title>lora-wasm benchmark</title><script type="module" src="/page.js"></script>';

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html',
  js: 'text/javascript',
  mjs: 'text/javascript',
  wasm: 'application/wasm',
};

/** What pages may ask for beside the bundle and, under `/compiled/`, the benchmark's modules. */
export interface Served {
  /** The file of a language model, as `/model`. */
  readonly model?: string | undefined;
  /** A folder of packages, of each its dist under `/files/<package>/`. */
  readonly packages?: URL;
}

function fileOf(path: string, { packages, model }: Served): string {
  if (path === '/model' && model !== undefined) return model;
  const file = /^\/files\/(.+)\/([^/]+)$/.exec(path);
  if (file !== null && packages !== undefined)
    return fileURLToPath(new URL(`${file[1]}/dist/${file[2]}`, packages));
  if (path.startsWith('/compiled/')) return here(`../out/${path.slice(10)}`);
  return PAGE_FOLDER + path.slice(1);
}

/** Starts a server on a free port of this machine alone. */
export async function servePage(served: Served): Promise<{ address: string; close: () => void }> {
  const server = createServer(async ({ url = '/' }, response) => {
    const path = url.split('?')[0]!;
    const type = path === '/' ? 'text/html' : TYPES[path.split('.').at(-1)!];
    const headers = {
      'Content-Type': type ?? 'application/octet-stream',
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
    };
    try {
      const body = path === '/' ? PAGE : await readFile(fileOf(path, served));
      response.writeHead(200, headers).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { address: `http://127.0.0.1:${port}/`, close: () => void server.close() };
}
