/**
 * Models behind an address that are refused by it: cut too often, of another hash, without a place to keep them; nothing is
 * kept.
 */
import { truncateSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FormatError } from '../../src/index.js';
import { loadModel } from '../../src/models/index.js';
import { tinyGguf } from '../support/tiny-model.js';
import { FILE, modelHost, SHA256, serve } from './model-host.js';

const { host, logitsOf, url, kept } = modelHost();

test('a cut that the server cannot go on from is said, after as many tries as bring nothing more', async () => {
  host.answer = serve(FILE, { cut: 20_000, ranges: false, etag: '' });
  await expect(logitsOf(url())).rejects.toThrow(
    new RegExp(`^loadModel: ${host.origin}/tiny.gguf: was cut after 20000 of ${FILE.length} bytes`),
  );
  expect(host.asked.length).toBeLessThan(5);
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
  host.answer = manner;
  const before = host.rt.memory().held;
  const error = await logitsOf(url('/tiny.gguf?token=secret')).catch((one: unknown) => one);
  expect(error).toBeInstanceOf(FormatError);
  expect((error as FormatError).message).toContain(`loadModel: ${host.origin}/tiny.gguf`);
  expect((error as FormatError).message).toContain(message);
  expect((error as FormatError).message).not.toContain('secret');
  expect(kept()).toEqual([]);
  expect(host.rt.memory().held).toBe(before);
});

test('a copy that was damaged is refused by its own path', async () => {
  await logitsOf(url());
  const copy = join(host.cache, kept()[0]!);
  truncateSync(copy, 1000);
  await expect(logitsOf(url())).rejects.toThrow(
    `loadModel: ${host.origin}/tiny.gguf (kept as ${copy}): the file has 1000 bytes`,
  );
  expect(host.asked).toHaveLength(1);
});

test('a file of another hash is refused, from a server, from the cache and on disk', async () => {
  const wrong = '0'.repeat(64);
  const message = `has the SHA-256 ${SHA256}, expected ${wrong}`;
  await expect(logitsOf(url(), { sha256: wrong })).rejects.toThrow(message);
  expect(kept()).toEqual([]);
  await logitsOf(url());
  const [name] = kept();
  writeFileSync(join(host.cache, name!), tinyGguf({ metadata: { 'general.name': 'another' } }));
  await logitsOf(url(), { sha256: SHA256 });
  expect(host.asked).toHaveLength(3);
  const path = join(host.cache, 'own.gguf');
  writeFileSync(path, FILE);
  await logitsOf(path, { sha256: SHA256 });
  const refusal = await loadModel(host.rt, path, { sha256: wrong }).catch((one: unknown) => one);
  expect(refusal).toBeInstanceOf(FormatError);
  expect(String(refusal)).toContain(`loadModel: ${path} ${message}`);
});

test('a cache folder that cannot be made is refused by its name, before anything is asked for', async () => {
  const file = join(host.cache, 'a file');
  writeFileSync(file, '');
  const error = await logitsOf(url(), { cache: file }).catch((one: unknown) => one);
  expect(error).toBeInstanceOf(FormatError);
  expect(String(error)).toMatch(
    new RegExp(
      `loadModel: ${host.origin}/tiny.gguf: cannot be kept in ${file} \\(.*\\), expected a folder that can be written`,
    ),
  );
  expect(host.asked).toEqual([]);
});

test('a path that is not there is refused by its name', async () => {
  const path = join(host.cache, 'nowhere.gguf');
  await expect(loadModel(host.rt, path)).rejects.toThrow(
    `loadModel: ${path}: no such file or folder, expected a model`,
  );
});
