/**
 * How workers are started on the platform that this code runs on. Apart from `index.ts`, since only who has asked for threads
 * reads it: `engine/pool/start.ts`.
 */
import { browserWorkers } from './browser-workers.js';
import { isNode } from './node.js';
import { nodeWorkers } from './node-workers.js';
import type { Workers } from './platform.js';

const chosen: Workers = /* @__PURE__ */ isNode() ? nodeWorkers : browserWorkers;

export const { workersObstacle, startWorker } = chosen;
