/**
 * How many threads a runtime gets, and the start of its workers. What stands against threads is a sentence, never an
 * error: one thread does the same work. Called by `engine.ts`.
 */
import {
  cores,
  messageOf,
  platform,
  resolveUrl,
  startWorker,
  threadsObstacle,
  type WorkerScript,
  workersObstacle,
} from '../../platform/index.js';
import { checkInteger, describe } from '../../values/checks.js';
import type { HostUrl } from '../../values/globals.js';
import { urlOf } from '../../values/kind.js';
import { packagedWorkers } from '../packaged.js';
import { endAll, Pool, type WorkerHandle } from './pool.js';
import { controlOf, kernelNames, type WorkerMessage, type WorkerStart } from './protocol.js';

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
/** Milliseconds that the workers may take to start. */
const START_LIMIT = 15_000;

/** Whether this thread may sleep in `Atomics.wait`: everywhere but on a page's main thread. */
export function mayBlock(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0);
    return true;
  } catch {
    return false;
  }
}

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

/** What the workers compute with. */
export interface PoolSource {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly kernels: object;
  /** As `PoolParts.patience`; for tests. */
  readonly patience?: number;
}

/** The scripts to try, one after the other: the caller's own and no other, or the package's. @throws TypeError, for an address that is none too */
export function workerScripts(option: WorkerOption | undefined): WorkerScript[] {
  if (option === undefined) return packagedWorkers(platform);
  const url = typeof option === 'string' ? resolveUrl(option) : urlOf(option);
  if (url !== null) return [{ url }];
  if (typeof option === 'function') return [{ make: option, name: 'the one that worker made' }];
  throw new TypeError(
    `createRuntime: worker is ${describe(option)}, expected a URL, a string or a function that makes a Worker`,
  );
}

/** Starts the workers and waits until each is ready. @returns a pool, or why there is none */
export async function startPool(
  source: PoolSource,
  threads: number,
  scripts: readonly WorkerScript[] = workerScripts(undefined),
): Promise<Pool | string> {
  const obstacle = await workersObstacle(threads - 1);
  if (obstacle !== null) return obstacle;
  const control = controlOf();
  let pool: Pool | null = null;
  const team: Team = { workers: [], over: false, lost: () => {} };
  const { workers } = team;
  const stopped = new Promise<string>((resolve) => {
    team.lost = (reason) => {
      resolve(reason);
      void pool?.close(reason);
    };
  });
  const ready = Array.from({ length: threads - 1 }, (_, i) => {
    const { module, memory } = source;
    const start: WorkerStart = { module, memory, control: control.words.buffer, participant: i + 1 };
    return startOne(scripts, start, team);
  });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`the workers were not ready in ${START_LIMIT} ms`), START_LIMIT);
  });
  const reason = await Promise.race([Promise.all(ready).then(() => null), stopped, late]);
  clearTimeout(timer);
  if (reason !== null) {
    team.over = true;
    void endAll(workers.flat());
    return reason;
  }
  for (const worker of workers) worker.release();
  const names = kernelNames(source.module);
  const kernels = source.kernels as Readonly<Record<string, (...values: number[]) => unknown>>;
  const { patience } = source;
  pool = new Pool({ kernels, names, control, workers, mayBlock: mayBlock(), patience });
  return pool;
}

/** What the starts of a pool's workers share. */
interface Team {
  readonly workers: WorkerHandle[];
  /** Whether the pool was given up: nobody starts from here on. */
  over: boolean;
  /** Called when a worker does not start, and when one stops later. */
  lost: (reason: string) => void;
}

/** Starts one worker by the first script that runs. @returns when it is ready; never where it is lost */
async function startOne(scripts: readonly WorkerScript[], start: WorkerStart, team: Team): Promise<void> {
  const failures: string[] = [];
  const at = start.participant - 1;
  const who = `worker ${start.participant}`;
  for (const script of scripts) {
    if (team.over) break;
    const failed = await new Promise<string | null>((resolve) => {
      let ready = false;
      const lost = (reason: string): void => {
        if (ready) team.lost(`${who} stopped: ${reason}`);
        else resolve(reason);
      };
      const hear = (message: WorkerMessage): void => {
        if ('failed' in message) lost(message.failed);
        else {
          ready = true;
          resolve(null);
        }
      };
      try {
        team.workers[at] = startWorker(script, start, { hear, lost });
      } catch (error) {
        resolve(messageOf(error));
      }
    });
    if (failed === null) return;
    void endAll(team.workers.slice(at, at + 1));
    failures.push(`${nameOf(script)}: ${failed}`);
  }
  team.lost(`${who} did not start: ${failures.join('; ')}. ${remedy()}`);
  await new Promise<never>(() => {});
}

/** A script in the words of a reason. */
function nameOf(script: WorkerScript): string {
  if ('text' in script) return 'its text';
  return 'url' in script ? script.url.href : script.name;
}

/** What helps where no script of a worker runs. */
function remedy(): string {
  const header =
    platform === 'browser'
      ? ' with the header Cross-Origin-Embedder-Policy: require-corp, allow it by worker-src of a Content-Security-Policy,'
      : '';
  return `Serve lora-wasm/worker${header} and give createRuntime({ worker }) its place, see docs/bundlers.md`;
}
