/** How Node starts workers, and what stands against it. The browser's twin is `browser-workers.ts`; `workers.ts` chooses. */
import type { Worker as NodeWorker } from 'node:worker_threads';
import type { WorkerHandle } from '../engine/pool/pool.js';
import type { StartMessage, WorkerStart } from '../engine/pool/protocol.js';
import { messageOf, type WorkerEars, type Workers } from './platform.js';
import { holdWebWorker } from './web-worker.js';

export const nodeWorkers: Workers = {
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
