/** A worker of the pool in Node: what `startWorker` in `node.ts` runs. */
import { parentPort, workerData } from 'node:worker_threads';
import type { WorkerStart } from '../runtime/pool/protocol.js';
import { serve } from '../runtime/pool/serve.js';

serve(workerData as WorkerStart, (message) => parentPort?.postMessage(message));
