/** What a browser does its own way: reading bytes, starting workers. Node's twin is `node.ts`; package.json's `#platform` chooses. */
import type { WorkerHandle } from '../runtime/pool/pool.js';
import type { WorkerMessage, WorkerStart } from '../runtime/pool/protocol.js';

export const platform: 'node' | 'browser' = 'browser';

/** What a worker of a page is sent: its part of the pool, and the name of the lock that it holds while it lives. */
export interface BrowserStart {
  readonly start: WorkerStart;
  readonly lock: string;
}

/** All bytes behind a URL, fetched. */
export async function readBytes(url: URL): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(url);
  if (!response.ok)
    throw new Error(`readBytes: ${url.href} answered ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** Where a folder named by URL text lies, relative to the page or worker. */
export function folderUrl(folder: string | URL): URL {
  const url = new URL(folder, globalThis.location.href);
  return url.href.endsWith('/') ? url : new URL(`${url.href}/`);
}

/** Node reads `file:` URLs by range; a page has none to read. */
export async function fileSource(_url: URL): Promise<null> {
  return null;
}

/** Cores that the browser tells of. */
export function cores(): number {
  return globalThis.navigator?.hardwareConcurrency ?? 1;
}

/** What stands against threads here; null when nothing does. Without isolation a shared memory can be made, but not sent. */
export function threadsObstacle(): string | null {
  if (globalThis.crossOriginIsolated !== true)
    return 'the page is not cross-origin isolated (headers Cross-Origin-Opener-Policy and Cross-Origin-Embedder-Policy)';
  return typeof SharedArrayBuffer === 'function' ? null : 'the browser has no SharedArrayBuffer';
}

/** What stands against starting so many workers now: nothing that a page is told of. */
export async function workersObstacle(_count: number): Promise<string | null> {
  return null;
}

/** Starts a worker of the pool. It holds a lock for as long as its thread lives. @throws Error where it cannot be sent what it needs */
export function startWorker(
  start: WorkerStart,
  hear: (message: WorkerMessage) => void,
  lost: (reason: string) => void,
): WorkerHandle {
  // Written in one expression, so that bundlers find the file.
  const worker = new Worker(new URL('./worker-browser.js', import.meta.url), { type: 'module' });
  worker.onmessage = ({ data }: MessageEvent<WorkerMessage>) => hear(data);
  worker.onmessageerror = () => lost('its message could not be read');
  worker.onerror = ({ message }) => lost(message ?? 'its script did not load');
  const lock = `lora-wasm ${crypto.randomUUID()}`;
  try {
    worker.postMessage({ start, lock } satisfies BrowserStart);
  } catch (error) {
    worker.terminate();
    throw error;
  }
  const end = async (): Promise<void> => {
    worker.terminate();
    // `terminate` does not wait, and nothing tells that a worker is gone but its locks.
    await globalThis.navigator?.locks?.request(lock, () => {}).catch(() => {});
  };
  return { release: () => {}, end };
}
