/** What Node does its own way: reading bytes, starting workers. The browser's twin is `browser.ts`; package.json's `#platform` chooses. */
import { type FileHandle, open, readFile, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { WorkerHandle } from '../runtime/pool/pool.js';
import type { WorkerMessage, WorkerStart } from '../runtime/pool/protocol.js';

export const platform: 'node' | 'browser' = 'node';

/** All bytes behind a URL; `file:` is read from disk, anything else is fetched. */
export async function readBytes(url: URL): Promise<Uint8Array<ArrayBuffer>> {
  if (url.protocol === 'file:') return new Uint8Array(await readFile(url));
  const response = await fetch(url);
  if (!response.ok)
    throw new Error(`readBytes: ${url.href} answered ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** Where a folder named by a path lies. */
export function folderUrl(folder: string | URL): URL {
  if (folder instanceof URL) return folder.href.endsWith('/') ? folder : new URL(`${folder.href}/`);
  return pathToFileURL(`${resolve(folder)}/`);
}

/** A file behind a `file:` URL, read by range; each read opens and closes it, so nothing is left open. Null for other URLs. */
export async function fileSource(
  url: URL,
): Promise<{ size: number; read(begin: number, end: number): Promise<Uint8Array<ArrayBuffer>> } | null> {
  if (url.protocol !== 'file:') return null;
  const { size } = await stat(url);
  const read = async (begin: number, end: number): Promise<Uint8Array<ArrayBuffer>> => {
    const handle = await open(url);
    try {
      return await readRange(handle, begin, end);
    } finally {
      await handle.close();
    }
  };
  return { size, read };
}

/** Bytes of an open file from `begin` up to `end`; fewer where the file ends. One read of Node gives 2 GiB at most. */
export async function readRange(
  handle: FileHandle,
  begin: number,
  end: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(end - begin);
  let at = 0;
  while (at < bytes.length) {
    const length = Math.min(bytes.length - at, 2 ** 30);
    const { bytesRead } = await handle.read(bytes, at, length, begin + at);
    if (bytesRead === 0) break;
    at += bytesRead;
  }
  return bytes.subarray(0, at);
}

/** Cores that this process may use. */
export function cores(): number {
  return availableParallelism();
}

/** What stands against threads here; null when nothing does. */
export function threadsObstacle(): string | null {
  return null;
}

/** Bytes of a page of `/proc/self/statm`: the smallest that Linux knows, so that no more is counted than is there. */
const PAGE = 4096;
/** Bytes of address space for a worker's thread, twice what it was seen to take; where they are lacking V8 ends the process. */
const WORKER_SPACE = 2 ** 30;

/**
 * What stands against starting so many workers now; null when nothing does. Under a limit of address space (`ulimit -v`) a
 * thread that does not fit is no error that could be caught.
 */
export async function workersObstacle(count: number): Promise<string | null> {
  let limits: string;
  let statm: string;
  try {
    [limits, statm] = await Promise.all([
      readFile('/proc/self/limits', 'utf8'),
      readFile('/proc/self/statm', 'utf8'),
    ]);
  } catch {
    return null; // Not Linux: nobody tells, and hardly anybody limits.
  }
  const limit = Number(/^Max address space +(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY);
  const room = limit - Number.parseInt(statm, 10) * PAGE;
  if (!(room < count * WORKER_SPACE)) return null;
  return `the address space is limited: ${Math.max(0, Math.floor(room / 2 ** 20))} MiB are left, expected ${(count * WORKER_SPACE) / 2 ** 20} for ${count} worker${count > 1 ? 's' : ''} (ulimit -v)`;
}

/**
 * The worker's script. Run from sources, by a loader that a worker has not, it is the one that was built. Looked for only
 * when it is wanted: a bundle of one file may have no URL of its own, and computes on one thread.
 */
function workerScript(): URL {
  const { url } = import.meta;
  return new URL(url.endsWith('.ts') ? '../../dist/platform/worker-node.js' : './worker-node.js', url);
}

/** Starts a worker of the pool. It keeps the process alive until it is released. @throws Error where its script cannot be named */
export function startWorker(
  start: WorkerStart,
  hear: (message: WorkerMessage) => void,
  lost: (reason: string) => void,
): WorkerHandle {
  // No flags of the parent: a loader of sources is nothing that the worker needs.
  const worker = new Worker(workerScript(), {
    workerData: start,
    execArgv: [],
    name: `lora-wasm ${start.participant}`,
  });
  worker.on('message', hear);
  worker.on('error', (error) => lost(error.message));
  worker.on('exit', () => lost('its thread ended'));
  return {
    release: () => worker.unref(),
    end: async () => {
      await worker.terminate();
    },
  };
}
