/**
 * What Node does its own way: reading bytes, starting workers. The browser's twin is `browser.ts`; `index.ts` chooses. Node's
 * modules are asked for when they are wanted, not imported: a bundle for a page may carry this file too (`no-node.ts`). Written as `globalThis.process`,
 * since Parcel asks for a polyfill where it sees the bare name.
 */
import type { Worker as NodeWorker } from 'node:worker_threads';
import type { WorkerHandle } from '../engine/pool/pool.js';
import type { StartMessage, WorkerStart } from '../engine/pool/protocol.js';
import { bodyOf, messageOf, type Platform, ReadError, type WorkerEars } from './platform.js';
import { holdWebWorker } from './web-worker.js';

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

  workersObstacle,

  startWorker(script, start, ears) {
    if ('make' in script) return hold(script.make(), start, ears);
    const { Worker } = globalThis.process.getBuiltinModule('node:worker_threads');
    // No flags of the parent: a loader of sources is nothing that the worker needs.
    const options = { execArgv: [], name: `lora-wasm ${start.participant}` };
    const worker =
      'url' in script ? new Worker(script.url, options) : new Worker(script.text, { ...options, eval: true });
    return holdNodeWorker(worker, start, ears);
  },
};

/** Bytes of a page of `/proc/self/statm`: the smallest that Linux knows, so that no more is counted than is there. */
const PAGE = 4096;
/** Bytes of address space for a worker's thread, twice what it was seen to take; where they are lacking V8 ends the process. */
const WORKER_SPACE = 2 ** 30;

/**
 * What stands against starting so many workers now; null when nothing does. Under a limit of address space (`ulimit -v`) a
 * thread that does not fit is no error that could be caught.
 */
async function workersObstacle(count: number): Promise<string | null> {
  const { readFile } = globalThis.process.getBuiltinModule('node:fs/promises');
  try {
    const limits = await readFile('/proc/self/limits', 'utf8');
    const statm = await readFile('/proc/self/statm', 'utf8');
    const limit = Number(/^Max address space +(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY);
    const room = limit - Number.parseInt(statm, 10) * PAGE;
    const wanted = count * WORKER_SPACE;
    if (!(room < wanted)) return null;
    return `the address space is limited: ${Math.max(0, Math.floor(room / 2 ** 20))} MiB are left, expected ${wanted / 2 ** 20} for ${count} worker${count > 1 ? 's' : ''} (ulimit -v)`;
  } catch {
    return null; // Not Linux: nobody tells, and hardly anybody limits.
  }
}

/** A worker of the user's making: Node's kind, or the web's, which Deno and Bun have too. */
function hold(worker: unknown, start: WorkerStart, ears: WorkerEars): WorkerHandle {
  return worker instanceof globalThis.process.getBuiltinModule('node:worker_threads').Worker
    ? holdNodeWorker(worker, start, ears)
    : holdWebWorker(worker, start, ears);
}

function holdNodeWorker(worker: NodeWorker, start: WorkerStart, { hear, lost }: WorkerEars): WorkerHandle {
  worker.on('message', hear);
  worker.on('error', (error) => lost(messageOf(error)));
  worker.on('exit', () => lost('its thread ended'));
  worker.postMessage({ start } satisfies StartMessage);
  return {
    release: () => worker.unref(),
    end: async () => {
      await worker.terminate();
    },
  };
}
