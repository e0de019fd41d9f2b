/** The real model in a page: read from a Blob by a worker, it answers what transformers answers. */
import model from 'virtual:language-model';
import { expect, test } from 'vitest';

test.skipIf(model === null)('a worker answers with a model out of a Blob, text as it comes', async () => {
  const blob = await (await fetch(model!.address)).blob();
  const worker = new Worker(new URL('./generate-worker.ts', import.meta.url), { type: 'module' });
  const parts: string[] = [];
  await new Promise<void>((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<string | null>) => {
      if (data === null) resolve();
      else parts.push(data);
    };
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage(blob);
  });
  worker.terminate();
  expect(parts.join('')).toBe(model!.text);
  expect(parts.length).toBeGreaterThan(20);
});
