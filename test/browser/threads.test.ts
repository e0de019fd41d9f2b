/**
 * Threads in a page: isolated, it may have them when asked for; its main thread computes alone by itself, a worker does not.
 * Bytes leave shared memory as copies, which is all that TextDecoder, Blob and their like take.
 */
import { createRuntime } from 'lora-wasm';
import { afterEach, expect, test, vi } from 'vitest';
import { type Trained, train, type WorkerReport } from './train.js';

afterEach(() => {
  vi.unstubAllGlobals();
});

async function trainWith(threads: number): Promise<Trained> {
  using rt = await createRuntime({ kernels: 'simd', threads, seed: 9 });
  expect(rt.info()).toMatchObject({ threads, threadsReason: `asked for by threads: ${threads}` });
  return train(rt);
}

test('this page is cross-origin isolated', () => {
  expect(crossOriginIsolated).toBe(true);
});

test("a page's main thread computes alone by itself, and says why", async () => {
  using rt = await createRuntime();
  expect(rt.info().threads).toBe(1);
  expect(rt.info().threadsReason).toContain("a page's main thread may not wait");
});

test('a page that is not isolated computes on one thread, and says why', async () => {
  vi.stubGlobal('crossOriginIsolated', false);
  using rt = await createRuntime({ threads: 2 });
  expect(rt.info().threads).toBe(1);
  expect(rt.info().threadsReason).toContain('not cross-origin isolated');
});

test('an isolated page of a browser without shared memory computes on one thread, and says why', async () => {
  vi.stubGlobal('SharedArrayBuffer', undefined);
  using rt = await createRuntime({ threads: 2 });
  expect(rt.info().threads).toBe(1);
  expect(rt.info().threadsReason).toContain('no SharedArrayBuffer');
});

test('asked for, 2 and 3 threads give the bits of one', async () => {
  const one = await trainWith(1);
  expect(one.losses.at(-1)).toBeLessThan(one.losses[0]!);
  expect(await trainWith(2)).toEqual(one);
  expect(await trainWith(3)).toEqual(one);
});

test('bytes out of shared memory are ordinary ones', async () => {
  const { bytes, config } = await trainWith(2);
  expect(bytes.buffer).toBeInstanceOf(ArrayBuffer);
  expect(new Blob([bytes]).size).toBe(bytes.length);
  expect(JSON.parse(config)).toMatchObject({ peft_type: 'LORA', r: 4 });
});

test('in a worker threads come by themselves, with the same bits', async () => {
  const worker = new Worker(new URL('./train-worker.ts', import.meta.url), { type: 'module' });
  const report = await new Promise<WorkerReport>((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<WorkerReport>) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message));
  });
  worker.terminate();
  const { threads, threadsReason, ...trained } = report;
  expect(threads, threadsReason).toBe(Math.min(navigator.hardwareConcurrency, 8));
  expect(trained).toEqual(await trainWith(1));
});
