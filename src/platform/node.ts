/**
 * What Node does its own way: reading bytes, finding addresses, counting cores. The browser's twin is `browser.ts`; `index.ts` chooses. Node's
 * modules are asked for when they are wanted, not imported: a bundle for a page may carry this file too (`no-node.ts`). Written as `globalThis.process`,
 * since Parcel asks for a polyfill where it sees the bare name.
 */
import { bodyOf, messageOf, type Platform, ReadError } from './platform.js';

/** Whether this is Node, or what gives itself out for it and has its modules: Deno, Bun. Workers of workerd and windows of Electron have not all of them. */
export function isNode(): boolean {
  const { process, navigator } = globalThis;
  return (
    typeof process?.versions?.node === 'string' &&
    typeof process.getBuiltinModule === 'function' &&
    !('type' in process && process.type === 'renderer') &&
    navigator?.userAgent !== 'Cloudflare-Workers'
  );
}

export const node: Platform = {
  name: 'node',

  async readBytes(url) {
    try {
      if (url.protocol !== 'file:') return await bodyOf(url, await fetch(url));
      return new Uint8Array(await globalThis.process.getBuiltinModule('node:fs/promises').readFile(url));
    } catch (cause) {
      if (cause instanceof ReadError) throw cause;
      const code = cause instanceof Error && 'code' in cause ? cause.code : '';
      if (code === 'ENOENT') throw new ReadError(url, true, 'no such file', cause);
      // What `fetch` hides behind its own words.
      const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
      throw new ReadError(url, false, messageOf(reason), cause);
    }
  },

  resolveUrl(text) {
    // A letter and a colon is a drive of Windows.
    if (/^[a-z][a-z0-9+.-]+:/i.test(text)) return new URL(text);
    const slash = /[/\\]$/.test(text) ? '/' : '';
    const { resolve } = globalThis.process.getBuiltinModule('node:path');
    return globalThis.process.getBuiltinModule('node:url').pathToFileURL(resolve(text) + slash);
  },

  cores: () => globalThis.process.getBuiltinModule('node:os').availableParallelism(),

  threadsObstacle: () => null,
};
