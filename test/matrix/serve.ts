/**
 * A host for built pages: a folder's files with the headers that isolate a page, or with what a test asks for. A page may
 * post its report, for browsers that nothing can be asked of.
 */
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import type { Server } from './project.js';

export const ISOLATED = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
  '.json': 'application/json',
};

export interface HostOptions {
  /** Of every answer; the isolating ones. */
  readonly headers?: Readonly<Record<string, string>>;
  /** What is answered in place of a file; undefined leaves it as it is, and with `'none'` the connection ends. */
  readonly answer?: (path: string) => Answer | 'none' | undefined;
  /** Hears what a page posts to `/report`. */
  readonly report?: (text: string) => void;
}

export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

export async function host(folder: string, options: HostOptions = {}): Promise<Server> {
  const { headers = ISOLATED } = options;
  const server = createServer((request, response) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    handle(folder, options, request, response).catch(() => response.writeHead(404).end());
  });
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  const { port } = server.address() as AddressInfo;
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://localhost:${port}/`, stop };
}

async function handle(
  folder: string,
  { answer, report }: HostOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname);
  if (request.method === 'POST' && path === '/report' && report !== undefined) {
    let text = '';
    for await (const part of request) text += part;
    response.end();
    report(text);
    return;
  }
  const special = answer?.(path);
  if (special === 'none') {
    request.socket.destroy();
    return;
  }
  if (special !== undefined) {
    response.writeHead(special.status, { 'Content-Type': special.type }).end(special.body);
    return;
  }
  const file = path.endsWith('/') ? `${path}index.html` : path;
  const bytes = await readFile(join(folder, normalize(file)));
  response.writeHead(200, { 'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream' }).end(bytes);
}
