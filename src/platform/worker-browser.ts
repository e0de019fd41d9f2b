/** A worker of the pool in a browser: what `startWorker` in `browser.ts` runs. */
import { serve } from '../runtime/pool/serve.js';
import type { BrowserStart } from './browser.js';

globalThis.addEventListener(
  'message',
  ({ data: { start, lock } }: MessageEvent<BrowserStart>) => {
    const begin = (): void => serve(start, (message) => globalThis.postMessage(message));
    const { locks } = globalThis.navigator;
    if (locks === undefined) begin();
    else {
      // Held for ever, and given back by the browser once this thread is gone. A sandboxed page may have no locks.
      const hold = (): Promise<never> => {
        begin();
        return new Promise<never>(() => {});
      };
      locks.request(lock, hold).catch(begin);
    }
  },
  { once: true },
);
