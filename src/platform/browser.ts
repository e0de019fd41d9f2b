/** What a browser does its own way: reading bytes, finding addresses, counting cores. Node's twin is `node.ts`; `index.ts` chooses. */
import { bodyOf, messageOf, type Platform, ReadError } from './platform.js';

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
};
