/** A server of models, and an empty cache folder for every test, for the tests of what is fetched. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { createRuntime, type Runtime } from '../../src/index.js';
import { type LoadModelOptions, loadModel } from '../../src/models/index.js';
import { tinyGguf } from '../support/tiny-model.js';

export const FILE = tinyGguf();
export const SHA256 = createHash('sha256').update(FILE).digest('hex');

interface Manner {
  /** Bytes after which the connection is cut: once the client has them, since it may forget what it did not read before the cut. */
  readonly cut?: number;
  readonly ranges?: boolean;
  readonly etag?: string;
}

/** What a test sees and changes. */
interface Host {
  rt: Runtime;
  /** Of the server, and of the folder. */
  origin: string;
  cache: string;
  /** How the server answers, and what it was asked for. */
  answer(request: IncomingMessage, response: ServerResponse): void;
  asked: { url: string; range: string | undefined }[];
}

let toCut: { readonly at: number; readonly response: ServerResponse } | null = null;

/** A file as servers give it. */
export function serve(
  bytes: Uint8Array,
  { cut = Number.POSITIVE_INFINITY, ranges = true, etag = '"1"' }: Manner = {},
) {
  return ({ headers }: IncomingMessage, response: ServerResponse): void => {
    const range = ranges && headers['if-range'] === etag ? /^bytes=(\d+)-$/.exec(headers.range ?? '') : null;
    const from = Number(range?.[1] ?? 0);
    const place = { 'Content-Range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` };
    response.writeHead(range === null ? 200 : 206, {
      'Content-Length': bytes.length - from,
      ...(etag === '' ? {} : { ETag: etag }),
      ...(range === null ? {} : place),
    });
    if (from + cut >= bytes.length) response.end(bytes.subarray(from));
    else {
      toCut = { at: from + cut, response };
      response.write(bytes.subarray(from, from + cut));
    }
  };
}

/** Starts the server before the tests of a file; each begins with an empty cache and a server that gives the whole file. */
export function modelHost() {
  const host = { origin: '', cache: '' } as Host;
  let server: Server;
  beforeAll(async () => {
    host.rt = await createRuntime({ threads: 1 });
    server = createServer((request, response) => {
      host.asked.push({ url: request.url ?? '', range: request.headers.range });
      host.answer(request, response);
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    host.origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
    host.rt.dispose();
  });
  beforeEach(() => {
    host.cache = mkdtempSync(join(tmpdir(), 'lora-wasm-cache-'));
    host.asked = [];
    host.answer = serve(FILE);
  });
  afterEach(() => rmSync(host.cache, { recursive: true, force: true }));

  /** The model's logits for some ids, to know it by. */
  async function logitsOf(
    source: Parameters<typeof loadModel>[1],
    more: LoadModelOptions = {},
  ): Promise<number[]> {
    const onProgress: LoadModelOptions['onProgress'] = (loaded, total, what) => {
      more.onProgress?.(loaded, total, what);
      if (toCut !== null && what === 'fetch' && loaded === toCut.at) toCut.response.destroy();
    };
    const { rt } = host;
    using loaded = await loadModel(rt, source, { cache: host.cache, ...more, onProgress });
    return rt.scope(() => [...loaded.model.forward(rt.tensor(new Int32Array([3, 1, 4]), [1, 3])).toArray()]);
  }

  return {
    host,
    logitsOf,
    url: (path = '/tiny.gguf'): URL => new URL(path, host.origin),
    kept: (): string[] => readdirSync(host.cache),
  };
}
