/** What a browser does its own way: reading bytes, starting workers. Node's twin is `node.ts`; `index.ts` chooses. */
import type { WorkerHandle } from '../engine/pool/pool.js';
import type { WorkerStart } from '../engine/pool/protocol.js';
import {
  bodyOf,
  messageOf,
  type Platform,
  ReadError,
  type WorkerEars,
  type WorkerScript,
} from './platform.js';
import { holdWebWorker } from './web-worker.js';

export const browser: Platform = {
  name: 'browser',

  async readBytes(url) {
    try {
      return await bodyOf(url, await fetch(url));
    } catch (cause) {
      if (cause instanceof ReadError) throw cause;
      throw new ReadError(url, false, messageOf(cause), cause);
    }
  },

  resolveUrl: (text) => new URL(text, globalThis.document?.baseURI ?? globalThis.location?.href),

  cores: () => globalThis.navigator?.hardwareConcurrency ?? 1,

  // Without isolation a shared memory can be made, but not sent.
  threadsObstacle() {
    if (typeof Worker !== 'function') return 'this runtime has no workers';
    if (globalThis.crossOriginIsolated !== true)
      return 'the page is not cross-origin isolated (headers Cross-Origin-Opener-Policy: same-origin, Cross-Origin-Embedder-Policy: require-corp)';
    return typeof SharedArrayBuffer === 'function' ? null : 'the browser has no SharedArrayBuffer';
  },

  // Nothing that a page is told of.
  workersObstacle: async () => null,

  startWorker(script: WorkerScript, start: WorkerStart, ears: WorkerEars): WorkerHandle {
    if ('make' in script) return holdWebWorker(script.make(), start, ears);
    if ('url' in script) return holdWebWorker(new Worker(script.url, { type: 'module' }), start, ears);
    const url = URL.createObjectURL(new Blob([script.text], { type: 'text/javascript' }));
    // Revoked before it is loaded, it would be lost in WebKit.
    const then =
      <T>(tell: (said: T) => void) =>
      (said: T): void => {
        URL.revokeObjectURL(url);
        tell(said);
      };
    return holdWebWorker(new Worker(url), start, { hear: then(ears.hear), lost: then(ears.lost) });
  },
};
