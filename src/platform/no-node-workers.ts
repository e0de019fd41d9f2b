/** In place of `node-workers.ts` in a bundle for a page, as `no-node.ts` is of `node.ts`. */
export { browserWorkers as nodeWorkers } from './browser-workers.js';
