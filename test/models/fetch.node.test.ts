/** A model behind an address: fetched once into a cache folder, resumed where it was cut, refused where it is something else. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createRuntime, FormatError, type Runtime } from '../../src/index.js';
import { type LoadModelOptions, loadModel } from '../../src/models/index.js';
import { smallJson } from '../support/small-tokenizer.js';
import { tinyFolder, tinyGguf } from '../support/tiny-model.js';

const FILE = tinyGguf();
const SHA256 = createHash('sha256').update(FILE).digest('hex');

/** How the server answers, and what it was asked for. */
let answer: (request: IncomingMessage, response: ServerResponse) => void;
let toCut: { readonly at: number; readonly response: ServerResponse } | null = null;
let asked: { url: string; range: string | undefined }[] = [];
let server: Server;
let origin = '';
let cache = '';
let rt: Runtime;

beforeAll(async () => {
  rt = await createRuntime({ threads: 1 });
  server = createServer((request, response) => {
    asked.push({ url: request.url ?? '', range: request.headers.range });
    answer(request, response);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
  rt.dispose();
});

beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'lora-wasm-cache-'));
  asked = [];
  answer = serve(FILE);
});

afterEach(() => rmSync(cache, { recursive: true, force: true }));

interface Manner {
  /** Bytes after which the connection is cut: once the client has them, since it may forget what it did not read before the cut. */
  readonly cut?: number;
  readonly ranges?: boolean;
  readonly etag?: string;
}

/** A file as servers give it. */
function serve(
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

const url = (path = '/tiny.gguf'): URL => new URL(path, origin);
const kept = (): string[] => readdirSync(cache);

/** The model's logits for some ids, to know it by. */
async function logitsOf(
  source: Parameters<typeof loadModel>[1],
  more: LoadModelOptions = {},
): Promise<number[]> {
  const onProgress: LoadModelOptions['onProgress'] = (loaded, total, what) => {
    more.onProgress?.(loaded, total, what);
    if (toCut !== null && what === 'fetch' && loaded === toCut.at) toCut.response.destroy();
  };
  using loaded = await loadModel(rt, source, { cache, ...more, onProgress });
  return rt.scope(() => [...loaded.model.forward(rt.tensor(new Int32Array([3, 1, 4]), [1, 3])).toArray()]);
}

test('a file is asked for once, and what is kept is read from then on', async () => {
  const want = await logitsOf(new Blob([FILE]), {});
  const seen: [number, number | null, string][] = [];
  const onProgress = (loaded: number, total: number | null, what: string): void => {
    seen.push([loaded, total, what]);
  };
  expect(await logitsOf(url(), { onProgress })).toEqual(want);
  expect(seen.filter(([, , what]) => what === 'fetch').at(-1)).toEqual([FILE.length, FILE.length, 'fetch']);
  expect(seen.at(-1)![2]).toBe('read');
  expect(await logitsOf(url().href, { sha256: SHA256.toUpperCase() })).toEqual(want);
  expect(asked).toEqual([{ url: '/tiny.gguf', range: undefined }]);
  expect(kept()).toHaveLength(1);
  expect(kept()[0]).toMatch(/^[0-9a-f]{16}-tiny\.gguf$/);
});

test('a connection that is cut is taken up where it stopped', async () => {
  answer = serve(FILE, { cut: 10_000 });
  await logitsOf(url(), { sha256: SHA256 });
  const times = Math.ceil(FILE.length / 10_000);
  expect(times).toBeGreaterThan(2);
  expect(asked.map(({ range }) => range)).toEqual(
    Array.from({ length: times }, (_, i) => (i === 0 ? undefined : `bytes=${10_000 * i}-`)),
  );
});

test('a server that stops answering leaves what came for the next call', async () => {
  let first = true;
  answer = (request, response) => {
    if (first) serve(FILE, { cut: 20_000 })(request, response);
    else response.destroy();
    first = false;
  };
  await expect(logitsOf(url())).rejects.toThrow(FormatError);
  expect(kept().some((name) => name.endsWith('.part'))).toBe(true);
  answer = serve(FILE);
  asked = [];
  await logitsOf(url(), { sha256: SHA256 });
  expect(asked).toEqual([{ url: '/tiny.gguf', range: 'bytes=20000-' }]);
  expect(kept()).toHaveLength(1);
});

/** Calls begin to fetch the file in turn; none of them gets more than its beginning. */
async function begun(count: number): Promise<{ loads: Promise<number[]>[]; answers: ServerResponse[] }> {
  const answers: ServerResponse[] = [];
  const loads: Promise<number[]>[] = [];
  for (let i = 0; i < count; i++)
    await new Promise<void>((there) => {
      answer = (_, response) => {
        answers.push(response);
        response.writeHead(200, { 'Content-Length': FILE.length });
        response.write(FILE.subarray(0, 20_000));
      };
      loads.push(
        logitsOf(url(), { onProgress: (loaded, _, what) => what === 'fetch' && loaded >= 20_000 && there() }),
      );
    });
  return { loads, answers };
}

test('two that fetch one file at once do not write into each other', async () => {
  const want = await logitsOf(new Blob([FILE]), {});
  const { loads, answers } = await begun(2);
  const [first, second] = loads as [Promise<number[]>, Promise<number[]>];
  // The one that began first is done while the other has a beginning.
  answers[0]!.end(FILE.subarray(20_000));
  expect(await first).toEqual(want);
  const whole = kept().find((name) => name.endsWith('.gguf'))!;
  expect(readFileSync(join(cache, whole)).equals(FILE)).toBe(true);
  answers[1]!.destroy();
  answer = (_, response) => response.destroy();
  await expect(second).rejects.toThrow(FormatError);
  expect(readFileSync(join(cache, whole)).equals(FILE)).toBe(true);
  asked = [];
  expect(await logitsOf(url())).toEqual(want);
  expect(asked).toEqual([]);
});

test('what a process that is gone had fetched is taken up, what a living one fetches is not', async () => {
  const dead = spawnSync(process.execPath, ['--version']).pid;
  answer = (request, response) => serve(FILE, asked.length === 1 ? { cut: 20_000 } : {})(request, response);
  let owned = '';
  const ending = new AbortController();
  const onProgress = (): void => {
    owned = kept().find((name) => name.endsWith(`-${process.pid}`))!;
    ending.abort(new Error('enough'));
  };
  await expect(logitsOf(url(), { signal: ending.signal, onProgress })).rejects.toThrow('enough');
  const [part] = kept().filter((name) => name.endsWith('.part'));
  const bytes = FILE.subarray(0, 20_000);
  writeFileSync(join(cache, part!), bytes);
  renameSync(join(cache, part!), join(cache, owned));
  expect(asked).toHaveLength(1);
  await logitsOf(url('/tiny.gguf'), { sha256: SHA256 });
  expect(asked[1]).toEqual({ url: '/tiny.gguf', range: undefined });

  rmSync(join(cache, kept().find((name) => name.endsWith('.gguf'))!));
  renameSync(join(cache, owned), join(cache, owned.replace(/\d+$/, String(dead))));
  await logitsOf(url(), { sha256: SHA256 });
  expect(asked[2]).toEqual({ url: '/tiny.gguf', range: 'bytes=20000-' });
  expect(kept()).toHaveLength(1);
});

test('another file than the one that was cut is fetched from its beginning', async () => {
  let times = 0;
  answer = (request, response) =>
    times++ === 0
      ? serve(tinyGguf({ metadata: { 'general.name': 'older' } }), { cut: 20_000, etag: '"old"' })(
          request,
          response,
        )
      : serve(FILE, { etag: '"new"' })(request, response);
  await logitsOf(url(), { sha256: SHA256 });
  expect(asked.map(({ range }) => range)).toEqual([undefined, 'bytes=20000-']);
});

test('a cut that the server cannot go on from is said, after as many tries as bring nothing more', async () => {
  answer = serve(FILE, { cut: 20_000, ranges: false, etag: '' });
  await expect(logitsOf(url())).rejects.toThrow(
    new RegExp(`^loadModel: ${origin}/tiny.gguf: was cut after 20000 of ${FILE.length} bytes`),
  );
  expect(asked.length).toBeLessThan(5);
});

test.each<[string, (request: IncomingMessage, response: ServerResponse) => void, string]>([
  ['404', (_, response) => response.writeHead(404).end('no'), 'answered 404 Not Found, expected a model'],
  ['500', (_, response) => response.writeHead(500).end('no'), 'answered 500 Internal Server Error'],
  [
    'a page of HTML',
    (_, response) => response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }).end('<html>'),
    'answered with a page (text/html), expected a model',
  ],
  [
    'HTML by another name',
    (_, response) =>
      response.writeHead(200, { 'Content-Type': 'application/octet-stream' }).end('<!doctype html>'),
    'begins with "<!do", expected a GGUF file',
  ],
  ['nothing', (_, response) => response.writeHead(200).end(), 'begins with "", expected a GGUF file'],
  ['no answer', (_, response) => response.destroy(), 'gave no answer ('],
])('%s is refused by its address, and nothing is kept', async (_, manner, message) => {
  answer = manner;
  const before = rt.memory().held;
  const error = await logitsOf(url('/tiny.gguf?token=secret')).catch((one: unknown) => one);
  expect(error).toBeInstanceOf(FormatError);
  expect((error as FormatError).message).toContain(`loadModel: ${origin}/tiny.gguf`);
  expect((error as FormatError).message).toContain(message);
  expect((error as FormatError).message).not.toContain('secret');
  expect(kept()).toEqual([]);
  expect(rt.memory().held).toBe(before);
});

test('a file of another hash is refused, from a server, from the cache and on disk', async () => {
  const wrong = '0'.repeat(64);
  const message = `has the SHA-256 ${SHA256}, expected ${wrong}`;
  await expect(logitsOf(url(), { sha256: wrong })).rejects.toThrow(message);
  expect(kept()).toEqual([]);
  await logitsOf(url());
  const [name] = kept();
  writeFileSync(join(cache, name!), tinyGguf({ metadata: { 'general.name': 'another' } }));
  await logitsOf(url(), { sha256: SHA256 });
  expect(asked).toHaveLength(3);
  const path = join(cache, 'own.gguf');
  writeFileSync(path, FILE);
  await logitsOf(path, { sha256: SHA256 });
  const refusal = await loadModel(rt, path, { sha256: wrong }).catch((one: unknown) => one);
  expect(refusal).toBeInstanceOf(FormatError);
  expect(String(refusal)).toContain(`loadModel: ${path} ${message}`);
});

test('a signal ends a fetch with its reason', async () => {
  answer = (_, response) => {
    response.writeHead(200, { 'Content-Length': FILE.length, ETag: '"1"' });
    response.write(FILE.subarray(0, 1000));
  };
  const ending = new AbortController();
  const onProgress = (): void => ending.abort(new Error('enough'));
  await expect(logitsOf(url(), { signal: ending.signal, onProgress })).rejects.toThrow('enough');
});

test('a signal ends the reading of a hash, of a file and of what is kept', async () => {
  const ending = new AbortController();
  let reads = 0;
  const slow = {
    size: 2 ** 22,
    read: async (begin: number, end: number): Promise<Uint8Array> => {
      reads++;
      ending.abort(new Error('enough'));
      return new Uint8Array(end - begin);
    },
  };
  const options = { sha256: SHA256, cache, signal: ending.signal };
  await expect(loadModel(rt, slow, options)).rejects.toThrow('enough');
  expect(reads).toBe(1);
  await logitsOf(url());
  await expect(loadModel(rt, url(), options)).rejects.toThrow('enough');
});

test('a folder: on disk by its path, over HTTP by an address that ends with a slash', async () => {
  const files = new Map<string, Uint8Array>();
  for (const [name, blob] of tinyFolder()) files.set(name, new Uint8Array(await blob.arrayBuffer()));
  const folder = join(cache, 'a folder #1');
  mkdirSync(folder);
  for (const [name, bytes] of files) writeFileSync(join(folder, name), bytes);
  const want = await logitsOf(tinyFolder());
  expect(await logitsOf(folder)).toEqual(want);
  expect(await logitsOf(`${folder}/`)).toEqual(want);
  expect(await logitsOf(pathToFileURL(folder))).toEqual(want);
  await expect(loadModel(rt, folder, { sha256: SHA256 })).rejects.toThrow('sha256 is given for a folder');

  answer = (request, response) => {
    const bytes = files.get((request.url ?? '').replace('/model/', ''));
    if (bytes === undefined) response.writeHead(404).end();
    else serve(bytes)(request, response);
  };
  expect(await logitsOf(url('/model/'))).toEqual(want);
  expect(asked.map(({ url: path }) => path)).toContain('/model/model.safetensors.index.json');
  files.delete('model.safetensors');
  rmSync(cache, { recursive: true, force: true });
  await expect(logitsOf(url('/model/'))).rejects.toThrow(
    `loadModel: ${origin}/model/: there is no model.safetensors, expected one`,
  );
});

test('a tokenizer behind an address is fetched into the same cache folder, and refused by its name', async () => {
  const bytes = new TextEncoder().encode(smallJson({ type: 'ByteLevel', add_prefix_space: false }));
  answer = (request, response) =>
    request.url === '/tokenizer.json'
      ? serve(bytes)(request, response)
      : response.writeHead(404, 'Not Found').end();
  const seen: string[] = [];
  const options: LoadModelOptions = { cache, onProgress: (_, __, what) => void seen.push(what) };
  for (let time = 0; time < 2; time++) {
    using lm = await loadModel(rt, new Blob([FILE]), { ...options, tokenizer: url('/tokenizer.json').href });
    expect(lm.tokenizer!.decode(lm.tokenizer!.encode('ab 1'))).toBe('ab 1');
  }
  expect(asked.map(({ url: path }) => path)).toEqual(['/tokenizer.json']);
  expect(kept()).toHaveLength(1);
  expect(seen).toContain('fetch');
  for (const [tokenizer, found] of [
    [url('/none.json').href, 'answered 404 Not Found'],
    [join(cache, 'none.json'), 'no such file or folder'],
  ] as const)
    await expect(loadModel(rt, new Blob([FILE]), { cache, tokenizer })).rejects.toThrow(
      `loadModel: tokenizer: ${tokenizer}: ${found}, expected a tokenizer.json`,
    );
});

test('a cache folder that cannot be made is refused by its name, before anything is asked for', async () => {
  const file = join(cache, 'a file');
  writeFileSync(file, '');
  const error = await logitsOf(url(), { cache: file }).catch((one: unknown) => one);
  expect(error).toBeInstanceOf(FormatError);
  expect(String(error)).toMatch(
    new RegExp(
      `loadModel: ${origin}/tiny.gguf: cannot be kept in ${file} \\(.*\\), expected a folder that can be written`,
    ),
  );
  expect(asked).toEqual([]);
});

test('a path that is not there is refused by its name', async () => {
  const path = join(cache, 'nowhere.gguf');
  await expect(loadModel(rt, path)).rejects.toThrow(
    `loadModel: ${path}: no such file or folder, expected a model`,
  );
});
