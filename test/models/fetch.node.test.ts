/** A model behind an address: fetched once into a cache folder, resumed where it was cut, and ended by a signal. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { FormatError } from '../../src/index.js';
import { type LoadModelOptions, loadModel } from '../../src/models/index.js';
import { smallJson } from '../support/small-tokenizer.js';
import { tinyFolder, tinyGguf } from '../support/tiny-model.js';
import { FILE, modelHost, SHA256, serve } from './model-host.js';

const { host, logitsOf, url, kept } = modelHost();

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
  expect(host.asked).toEqual([{ url: '/tiny.gguf', range: undefined }]);
  expect(kept()).toHaveLength(1);
  expect(kept()[0]).toMatch(/^[0-9a-f]{16}-tiny\.gguf$/);
});

test('a connection that is cut is taken up where it stopped', async () => {
  host.answer = serve(FILE, { cut: 10_000 });
  await logitsOf(url(), { sha256: SHA256 });
  const times = Math.ceil(FILE.length / 10_000);
  expect(times).toBeGreaterThan(2);
  expect(host.asked.map(({ range }) => range)).toEqual(
    Array.from({ length: times }, (_, i) => (i === 0 ? undefined : `bytes=${10_000 * i}-`)),
  );
});

test('a server that stops answering leaves what came for the next call', async () => {
  let first = true;
  host.answer = (request, response) => {
    if (first) serve(FILE, { cut: 20_000 })(request, response);
    else response.destroy();
    first = false;
  };
  await expect(logitsOf(url())).rejects.toThrow(FormatError);
  expect(kept().some((name) => name.endsWith('.part'))).toBe(true);
  host.answer = serve(FILE);
  host.asked = [];
  await logitsOf(url(), { sha256: SHA256 });
  expect(host.asked).toEqual([{ url: '/tiny.gguf', range: 'bytes=20000-' }]);
  expect(kept()).toHaveLength(1);
});

/** Calls begin to fetch the file in turn; none of them gets more than its beginning. */
async function begun(count: number): Promise<{ loads: Promise<number[]>[]; answers: ServerResponse[] }> {
  const answers: ServerResponse[] = [];
  const loads: Promise<number[]>[] = [];
  for (let i = 0; i < count; i++)
    await new Promise<void>((there) => {
      host.answer = (_, response) => {
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
  expect(readFileSync(join(host.cache, whole)).equals(FILE)).toBe(true);
  answers[1]!.destroy();
  host.answer = (_, response) => response.destroy();
  await expect(second).rejects.toThrow(FormatError);
  expect(readFileSync(join(host.cache, whole)).equals(FILE)).toBe(true);
  host.asked = [];
  expect(await logitsOf(url())).toEqual(want);
  expect(host.asked).toEqual([]);
});

test('what a process that is gone had fetched is taken up, what a living one fetches is not', async () => {
  const dead = spawnSync(process.execPath, ['--version']).pid;
  host.answer = (request, response) =>
    serve(FILE, host.asked.length === 1 ? { cut: 20_000 } : {})(request, response);
  let owned = '';
  const ending = new AbortController();
  const onProgress = (): void => {
    owned = kept().find((name) => name.endsWith(`-${process.pid}`))!;
    ending.abort(new Error('enough'));
  };
  await expect(logitsOf(url(), { signal: ending.signal, onProgress })).rejects.toThrow('enough');
  const [part] = kept().filter((name) => name.endsWith('.part'));
  const bytes = FILE.subarray(0, 20_000);
  writeFileSync(join(host.cache, part!), bytes);
  renameSync(join(host.cache, part!), join(host.cache, owned));
  expect(host.asked).toHaveLength(1);
  await logitsOf(url('/tiny.gguf'), { sha256: SHA256 });
  expect(host.asked[1]).toEqual({ url: '/tiny.gguf', range: undefined });

  rmSync(join(host.cache, kept().find((name) => name.endsWith('.gguf'))!));
  renameSync(join(host.cache, owned), join(host.cache, owned.replace(/\d+$/, String(dead))));
  await logitsOf(url(), { sha256: SHA256 });
  expect(host.asked[2]).toEqual({ url: '/tiny.gguf', range: 'bytes=20000-' });
  expect(kept()).toHaveLength(1);
});

test('another file than the one that was cut is fetched from its beginning', async () => {
  let times = 0;
  host.answer = (request, response) =>
    times++ === 0
      ? serve(tinyGguf({ metadata: { 'general.name': 'older' } }), { cut: 20_000, etag: '"old"' })(
          request,
          response,
        )
      : serve(FILE, { etag: '"new"' })(request, response);
  await logitsOf(url(), { sha256: SHA256 });
  expect(host.asked.map(({ range }) => range)).toEqual([undefined, 'bytes=20000-']);
});

test('a signal ends a fetch with its reason', async () => {
  host.answer = (_, response) => {
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
  const options = { sha256: SHA256, cache: host.cache, signal: ending.signal };
  await expect(loadModel(host.rt, slow, options)).rejects.toThrow('enough');
  expect(reads).toBe(1);
  await logitsOf(url());
  await expect(loadModel(host.rt, url(), options)).rejects.toThrow('enough');
});

test('a folder: on disk by its path, over HTTP by an address that ends with a slash', async () => {
  const files = new Map<string, Uint8Array>();
  for (const [name, blob] of tinyFolder()) files.set(name, new Uint8Array(await blob.arrayBuffer()));
  const folder = join(host.cache, 'a folder #1');
  mkdirSync(folder);
  for (const [name, bytes] of files) writeFileSync(join(folder, name), bytes);
  const want = await logitsOf(tinyFolder());
  expect(await logitsOf(folder)).toEqual(want);
  expect(await logitsOf(`${folder}/`)).toEqual(want);
  expect(await logitsOf(pathToFileURL(folder))).toEqual(want);
  await expect(loadModel(host.rt, folder, { sha256: SHA256 })).rejects.toThrow(
    'sha256 is given for a folder',
  );

  host.answer = (request, response) => {
    const bytes = files.get((request.url ?? '').replace('/model/', ''));
    if (bytes === undefined) response.writeHead(404).end();
    else serve(bytes)(request, response);
  };
  expect(await logitsOf(url('/model/'))).toEqual(want);
  expect(host.asked.map(({ url: path }) => path)).toContain('/model/model.safetensors.index.json');
  files.delete('model.safetensors');
  rmSync(host.cache, { recursive: true, force: true });
  await expect(logitsOf(url('/model/'))).rejects.toThrow(
    `loadModel: ${host.origin}/model/: there is no model.safetensors, expected one`,
  );
});

test('a tokenizer behind an address is fetched into the same cache folder, and refused by its name', async () => {
  const bytes = new TextEncoder().encode(smallJson({ type: 'ByteLevel', add_prefix_space: false }));
  host.answer = (request, response) =>
    request.url === '/tokenizer.json'
      ? serve(bytes)(request, response)
      : response.writeHead(404, 'Not Found').end();
  const seen: string[] = [];
  const options: LoadModelOptions = { cache: host.cache, onProgress: (_, __, what) => void seen.push(what) };
  for (let time = 0; time < 2; time++) {
    using lm = await loadModel(host.rt, new Blob([FILE]), {
      ...options,
      tokenizer: url('/tokenizer.json').href,
    });
    expect(lm.tokenizer!.decode(lm.tokenizer!.encode('ab 1'))).toBe('ab 1');
  }
  expect(host.asked.map(({ url: path }) => path)).toEqual(['/tokenizer.json']);
  expect(kept()).toHaveLength(1);
  expect(seen).toContain('fetch');
  for (const [tokenizer, found] of [
    [url('/none.json').href, 'answered 404 Not Found'],
    [join(host.cache, 'none.json'), 'no such file or folder'],
  ] as const)
    await expect(loadModel(host.rt, new Blob([FILE]), { cache: host.cache, tokenizer })).rejects.toThrow(
      `loadModel: tokenizer: ${tokenizer}: ${found}, expected a tokenizer.json`,
    );
});
