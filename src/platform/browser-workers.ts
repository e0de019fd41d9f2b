/** How a browser starts workers. Node's twin is `node-workers.ts`; `workers.ts` chooses. */
import type { WorkerHandle } from '../engine/pool/pool.js';
import type { WorkerStart } from '../engine/pool/protocol.js';
import type { WorkerEars, WorkerScript, Workers } from './platform.js';
import { holdWebWorker } from './web-worker.js';

export const browserWorkers: Workers = {
  // Nothing that a page is told of.
  workersObstacle: async () => null,

  startWorker(script: WorkerScript, start: WorkerStart, ears: WorkerEars): WorkerHandle {
    if ('make' in script) return holdWebWorker(script.make(), start, ears);
    if ('url' in script) return holdWebWorker(new Worker(script.url, { type: 'module' }), start, ears);
    const url = URL.createObjectURL(new Blob([script.text], { type: 'text/javascript' }));
    // Revoked before it is loaded, it would be lost in WebKit.
    const then =
      <T>(tell: (said: T) => void) =>
      (said: T): void => {
        URL.revokeObjectURL(url);
        tell(said);
      };
    return holdWebWorker(new Worker(url), start, { hear: then(ears.hear), lost: then(ears.lost) });
  },
};
