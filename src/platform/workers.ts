/**
 * How workers are started on a platform. Apart from `index.ts`, since only who has asked for threads reads it:
 * `engine/pool/start.ts`. Imports nothing that a page reads at its start, which would be a file more.
 */
import type { WorkerHandle } from '../engine/pool/pool.js';
import type { WorkerStart } from '../engine/pool/protocol.js';
import { browserWorkers } from './browser-workers.js';
import { nodeWorkers } from './node-workers.js';
import type { Platform, WorkerEars, WorkerScript, Workers } from './platform.js';

function of(platform: Platform['name']): Workers {
  return platform === 'node' ? nodeWorkers : browserWorkers;
}

/** @see Workers.workersObstacle */
export function workersObstacle(platform: Platform['name'], count: number): Promise<string | null> {
  return of(platform).workersObstacle(count);
}

/** @see Workers.startWorker */
export function startWorker(
  platform: Platform['name'],
  script: WorkerScript,
  start: WorkerStart,
  ears: WorkerEars,
): WorkerHandle {
  return of(platform).startWorker(script, start, ears);
}
