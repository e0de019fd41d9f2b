/** An adapter's folder behind a URL: what is fetched, with the query that the folder has. */
import { afterEach, expect, test, vi } from 'vitest';
import { AdapterError, createRuntime, Linear, LoraModel, Sequential } from '../../src/index.js';

afterEach(() => vi.unstubAllGlobals());

test.each([
  ['https://example.org/models/mine', ''],
  ['https://example.org/models/mine/', ''],
  ['https://example.org/models/mine?token=a%2Fb', '?token=a%2Fb'],
  ['https://example.org/models/mine/?token=abc&x=1#part', '?token=abc&x=1'],
])('of %s both files keep the query', async (folder, query) => {
  using rt = await createRuntime({ kernels: 'simd' });
  const attach = (): LoraModel =>
    LoraModel.attach(new Sequential(new Linear(rt, 3, 2)), { r: 1, targetModules: ['0'] });
  const files = attach().exportAdapter();
  const asked: string[] = [];
  vi.stubGlobal('fetch', async (url: URL | string) => {
    asked.push(String(url));
    const name = new URL(url).pathname.split('/').at(-1);
    return new Response(Uint8Array.from(files[name as keyof typeof files]));
  });
  await attach().loadAdapter('a', new URL(folder));
  expect(asked).toEqual(
    ['adapter_config.json', 'adapter_model.safetensors'].map(
      (name) => `https://example.org/models/mine/${name}${query}`,
    ),
  );
});

test.each([
  ['answered 404 Not Found', async () => new Response('', { status: 404, statusText: 'Not Found' })],
  ['offline', () => Promise.reject(new TypeError('offline'))],
])('a folder that %s is an error that names the call and the file', async (why, fetch) => {
  using rt = await createRuntime({ kernels: 'simd' });
  const lora = LoraModel.attach(new Sequential(new Linear(rt, 3, 2)), { r: 1, targetModules: ['0'] });
  vi.stubGlobal('fetch', fetch);
  const loading = lora.loadAdapter('a', new URL('https://example.org/mine'));
  await expect(loading).rejects.toThrow(AdapterError);
  await expect(loading).rejects.toThrow(
    `LoraModel.loadAdapter: https://example.org/mine/adapter_config.json could not be read (${why}), expected a file of an adapter`,
  );
});
