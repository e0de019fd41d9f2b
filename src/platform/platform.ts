/** What Node and a browser do each in their own way. `node.ts` and `browser.ts` are the two, `node-workers.ts` and `browser-workers.ts` their parts for threads; `index.ts` and `workers.ts` take one of each. */
import type { WorkerHandle } from '../engine/pool/pool.js';
import type { WorkerMessage, WorkerStart } from '../engine/pool/protocol.js';

/** What a worker is made from: a script's address or text, or a function that gives a running one. */
export type WorkerScript =
  | { readonly url: URL }
  | { readonly text: string }
  | { readonly make: () => unknown; readonly name: string };

/** What a started worker tells the caller. */
export interface WorkerEars {
  readonly hear: (message: WorkerMessage) => void;
  readonly lost: (reason: string) => void;
}

export interface Platform {
  readonly name: 'node' | 'browser';
  /** All bytes behind a URL. @throws ReadError */
  readBytes(url: URL): Promise<Uint8Array<ArrayBuffer>>;
  /** Where a string leads: what `fetch` would read in a page; in Node a URL, or a path from the working directory. */
  resolveUrl(text: string): URL;
  /** Cores that this process or page may use. */
  cores(): number;
  /** What stands against threads here; null when nothing does. */
  threadsObstacle(): string | null;
}

/** The start of workers, apart: only who has asked for threads reads it. */
export interface Workers {
  /** What stands against starting so many workers now; null when nothing does. */
  workersObstacle(count: number): Promise<string | null>;
  /** Starts a worker of the pool. It keeps the process alive until it is released. @throws Error where none can be made */
  startWorker(script: WorkerScript, start: WorkerStart, ears: WorkerEars): WorkerHandle;
}

/** Bytes that could not be read: from where, and what stood against it. */
export class ReadError extends Error {
  /** True where nothing is there, false where no answer came. */
  readonly missing: boolean;
  /** The server's answer, or what the system said. */
  readonly detail: string;

  constructor(url: URL, missing: boolean, detail: string, cause?: unknown) {
    super(`readBytes: ${url.href}: ${detail}`, { cause });
    this.missing = missing;
    this.detail = detail;
  }
}

/** The body of an answer to `fetch`. @throws ReadError for another status than a good one */
export async function bodyOf(url: URL, response: Response): Promise<Uint8Array<ArrayBuffer>> {
  if (!response.ok)
    throw new ReadError(url, true, `answered ${response.status} ${response.statusText}`.trimEnd());
  return new Uint8Array(await response.arrayBuffer());
}

/** What an error says. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
