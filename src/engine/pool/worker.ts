/**
 * A worker of the pool, whole: the build makes `dist/worker.js` of it, one file without imports or exports, so that it runs as
 * a module and as a classic script, in Node and in browsers. It is sent one message, its start.
 */
import type { StartMessage, WorkerMessage } from './protocol.js';
import { serve } from './serve.js';

const port = globalThis.process?.getBuiltinModule?.('node:worker_threads')?.parentPort;

if (port) {
  port.once('message', ({ start }: StartMessage) => serve(start, (message) => port.postMessage(message)));
} else {
  globalThis.addEventListener('message', ({ data }: MessageEvent<StartMessage>) => serveLocked(data), {
    once: true,
  });
}

/** Serves under a lock that is held for ever, and given back by the browser once this thread is gone. A sandboxed page may have no locks. */
function serveLocked({ start, lock }: StartMessage): void {
  const begin = (): void => serve(start, (message: WorkerMessage) => globalThis.postMessage(message));
  const { locks } = globalThis.navigator;
  if (locks === undefined || lock === undefined) {
    begin();
    return;
  }
  const hold = (): Promise<never> => {
    begin();
    return new Promise<never>(() => {});
  };
  locks.request(lock, hold).catch(begin);
}
