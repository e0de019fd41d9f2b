/**
 * How many threads a runtime gets, and the options that say so. What stands against threads is a sentence, never an error: one
 * thread does the same work. Called by `create-engine.ts`, which reads `start.ts` where there is to be more than one.
 */
import {
  cores,
  messageOf,
  platform,
  resolveUrl,
  threadsObstacle,
  type WorkerScript,
} from '../../platform/index.js';
import { checkInteger, describe } from '../../values/checks.js';
import type { HostUrl } from '../../values/globals.js';
import { urlOf } from '../../values/kind.js';
import type { PoolHost } from './start.js';

/**
 * The option `worker`: where the script lies that `lora-wasm/worker` names, or a function that starts a worker of it (a browser's
 * `Worker`, or one of `node:worker_threads`).
 */
export type WorkerOption = HostUrl | string | (() => WorkerLike);

/** What every kind of worker has. */
export interface WorkerLike {
  /** Sends the worker its part of the pool. */
  postMessage(message: unknown): void;
}

/** The option `threads`. */
export type ThreadsOption = 'auto' | number;

/** Threads to try, and the reason for the number. */
export interface ThreadsPlan {
  readonly threads: number;
  readonly reason: string;
}

/** More were not measured, and the products of a small model would not fill them. */
const MOST_AUTO = 8;
const MOST = 32;
/** Whether this thread may sleep in `Atomics.wait`: everywhere but on a page's main thread. */
export function mayBlock(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0);
    return true;
  } catch {
    return false;
  }
}

/** What is loaded already when `start.ts` is read, and handed to it: what two files import is a third for a page to load. */
export const HOST: PoolHost = /* @__PURE__ */ Object.freeze({ platform, messageOf, mayBlock });

/** @throws TypeError, RangeError unless asked is 'auto' or 1 to 32 */
export function planThreads(asked: ThreadsOption): ThreadsPlan {
  if (asked !== 'auto') {
    if (typeof asked !== 'number')
      throw new TypeError(
        `createRuntime: threads is ${describe(asked)}, expected 'auto' or a number from 1 to ${MOST}`,
      );
    checkInteger('createRuntime: threads', asked, 1, MOST);
    if (asked === 1) return { threads: 1, reason: 'asked for by threads: 1' };
  }
  const obstacle = threadsObstacle();
  if (obstacle !== null) return { threads: 1, reason: obstacle };
  if (asked !== 'auto') return { threads: asked, reason: `asked for by threads: ${asked}` };
  if (!mayBlock())
    return {
      threads: 1,
      reason: "a page's main thread may not wait for others: train in a worker, or ask for a number",
    };
  const found = cores();
  if (found < 2) return { threads: 1, reason: 'this machine has one core' };
  return { threads: Math.min(found, MOST_AUTO), reason: `this machine has ${found} cores` };
}

/** The caller's own script, or null for the package's. @throws TypeError, for an address that is none too */
export function workerScript(option: WorkerOption | undefined): WorkerScript | null {
  if (option === undefined) return null;
  const url = typeof option === 'string' ? resolveUrl(option) : urlOf(option);
  if (url !== null) return { url };
  if (typeof option === 'function') return { make: option, name: 'the one that worker made' };
  throw new TypeError(
    `createRuntime: worker is ${describe(option)}, expected a URL, a string or a function that makes a Worker`,
  );
}
