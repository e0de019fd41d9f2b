/** A Trainer in a page and in a worker of it: a run goes on in the one where the other left it. */
import { expect, test } from 'vitest';
import { type Done, trainJob } from './trainer-job.js';

test('a run that a page left goes on in a worker, and ends in the bytes of one in the page alone', async () => {
  const [whole, left] = [`whole ${crypto.randomUUID()}`, `left ${crypto.randomUUID()}`];
  const wanted = await trainJob(whole);
  expect(wanted.events.at(-1)).toBe('checkpoint 9');
  await trainJob(left, ({ type, step }) => type === 'checkpoint' && step === 4);
  const worker = new Worker(new URL('./trainer-worker.ts', import.meta.url), { type: 'module' });
  const got = await new Promise<Done>((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<Done>) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage(left);
  });
  worker.terminate();
  expect(got.events[0]).toBe('step 5');
  expect(got.files).toEqual(wanted.files);
  for (const name of [whole, left]) indexedDB.deleteDatabase(`lora-wasm ${name}`);
});
