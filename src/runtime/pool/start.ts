/**
 * How many threads a runtime gets, and the start of its workers. What stands against threads is a sentence, never an
 * error: one thread does the same work. Called by `engine.ts`.
 */
import { cores, startWorker, threadsObstacle, workersObstacle } from '#platform';
import { checkInteger, describe } from '../errors.js';
import { endAll, Pool, type WorkerHandle } from './pool.js';
import { controlOf, kernelNames, type WorkerMessage, type WorkerStart } from './protocol.js';

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

/** Starts the workers and waits until each is ready. @returns a pool, or why there is none */
export async function startPool(source: PoolSource, threads: number): Promise<Pool | string> {
  const obstacle = await workersObstacle(threads - 1);
  if (obstacle !== null) return obstacle;
  const control = controlOf();
  const workers: WorkerHandle[] = [];
  let pool: Pool | null = null;
  let lost: (reason: string) => void = () => {};
  const stopped = new Promise<string>((resolve) => {
    lost = (reason) => {
      resolve(reason);
      void pool?.close(reason);
    };
  });
  const ready = Array.from({ length: threads - 1 }, (_, i) => {
    const { module, memory } = source;
    const start: WorkerStart = { module, memory, control: control.words.buffer, participant: i + 1 };
    return new Promise<void>((resolve) => {
      const hear = (message: WorkerMessage): void => {
        if ('ready' in message) resolve();
        else lost(`worker ${i + 1} stopped: ${message.failed}`);
      };
      try {
        workers.push(startWorker(start, hear, (reason) => lost(`worker ${i + 1} stopped: ${reason}`)));
      } catch (error) {
        lost(`worker ${i + 1} did not start: ${error instanceof Error ? error.message : String(error)}`);
      }
    });
  });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`the workers were not ready in ${START_LIMIT} ms`), START_LIMIT);
  });
  const reason = await Promise.race([Promise.all(ready).then(() => null), stopped, late]);
  clearTimeout(timer);
  if (reason !== null) {
    void endAll(workers);
    return reason;
  }
  for (const worker of workers) worker.release();
  const names = kernelNames(source.module);
  const kernels = source.kernels as Readonly<Record<string, (...values: number[]) => unknown>>;
  const { patience } = source;
  pool = new Pool({ kernels, names, control, workers, mayBlock: mayBlock(), patience });
  return pool;
}
