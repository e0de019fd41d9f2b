/** A worker of the web's kind, which browsers, Deno and Bun have, as the pool holds it. */
import type { WorkerHandle } from '../engine/pool/pool.js';
import type { StartMessage, WorkerMessage, WorkerStart } from '../engine/pool/protocol.js';
import type { WorkerEars } from './platform.js';

/**
 * Listens to a running worker and sends it its start. It holds a lock for as long as its thread lives. `release` is called when the
 * pool is ready. @throws Error where it cannot be sent what it needs
 */
export function holdWebWorker(worker: unknown, start: WorkerStart, { hear, lost }: WorkerEars): WorkerHandle {
  if (typeof Worker !== 'function' || !(worker instanceof Worker))
    throw new TypeError('createRuntime: worker gave no Worker, expected a function that makes one');
  worker.onmessage = ({ data }: MessageEvent<WorkerMessage>) => hear(data);
  worker.onmessageerror = () => lost('its message could not be read');
  // A script that does not load is an event without a message.
  worker.onerror = (event) => {
    event.preventDefault?.();
    lost(event.message || 'its script did not load');
  };
  const lock = `lora-wasm ${crypto.randomUUID()}`;
  try {
    worker.postMessage({ start, lock } satisfies StartMessage);
  } catch (error) {
    worker.terminate();
    throw error;
  }
  const end = async (): Promise<void> => {
    worker.terminate();
    // `terminate` does not wait, and nothing tells that a worker is gone but its locks.
    await globalThis.navigator?.locks?.request(lock, () => {}).catch(() => {});
  };
  // Deno's and Bun's can be let go of like Node's.
  const release = (): void => {
    if ('unref' in worker && typeof worker.unref === 'function') worker.unref();
  };
  return { release, end };
}
