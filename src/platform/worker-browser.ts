/** A worker of the pool in a browser: what `startWorker` in `browser.ts` runs. */
import type { WorkerStart } from '../runtime/pool/protocol.js';
import { serve } from '../runtime/pool/serve.js';

globalThis.addEventListener(
  'message',
  ({ data }: MessageEvent<WorkerStart>) => serve(data, (message) => globalThis.postMessage(message)),
  { once: true },
);
