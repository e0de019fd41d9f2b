/** Kernels that cannot be had, in Node: each is one sentence with the address, the cause and what helps. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createRuntime } from 'lora-wasm';
import { afterEach, expect, test, vi } from 'vitest';

afterEach(() => void vi.restoreAllMocks());

const REMEDY =
  "Import 'lora-wasm/inline', or give createRuntime({ wasm }) the place of lora-wasm/build/simd.wasm, see docs/bundlers.md";

async function said(wasm: string | Uint8Array | undefined): Promise<string> {
  const options = { kernels: 'simd', threads: 1 } as const;
  try {
    (await createRuntime(wasm === undefined ? options : { ...options, wasm })).dispose();
  } catch (error) {
    return String(error);
  }
  return 'it ran';
}

/** What is said of kernels from a server that answers so. */
async function saidOf(status: number, type: string, body: string | null): Promise<[string, string]> {
  const server = createServer((request, response) => {
    if (body === null) request.socket.destroy();
    else response.writeHead(status, { 'Content-Type': type }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/simd.wasm`;
  try {
    return [await said(url), url];
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

test('an engine without SIMD is named as such', async () => {
  vi.spyOn(WebAssembly, 'validate').mockReturnValue(false);
  expect(await said(undefined)).toBe(
    'Error: createRuntime: this engine has no WebAssembly SIMD, expected one of 2023 or newer',
  );
});

test('an answer of 404 is told with the address and what helps', async () => {
  const [text, url] = await saidOf(404, 'text/plain', 'no such file');
  expect(text).toBe(`Error: createRuntime: the kernels are not at ${url}: answered 404 Not Found. ${REMEDY}`);
});

test('a page in place of the kernels is told as one', async () => {
  const [text, url] = await saidOf(200, 'text/html', '\n<!doctype html><title>somebody</title>');
  expect(text).toBe(
    `Error: createRuntime: the kernels from ${url} are no WebAssembly but an HTML page. ${REMEDY}`,
  );
});

test('a server that does not answer is told with the cause and what helps', async () => {
  const [text, url] = await saidOf(0, '', null);
  expect(text).toContain(`Error: createRuntime: the kernels could not be read from ${url}: `);
  expect(text).toContain('(offline, ');
  expect(text).toContain(REMEDY);
});

test('kernels that are cut short, or none, are told by their bytes', async () => {
  const cut = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0);
  expect(await said(cut)).toMatch(
    /^Error: createRuntime: the kernels given as bytes did not compile: .+\. Import 'lora-wasm\/inline'/,
  );
  expect(await said(new Uint8Array(0))).toBe(
    `Error: createRuntime: the kernels given as bytes are no WebAssembly but 0 bytes that begin with "". ${REMEDY}`,
  );
});
