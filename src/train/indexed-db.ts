/** Checkpoints in the browser's own database, for pages and workers: each is put and the older ones are taken away in one transaction. */
import { checkInteger, checkOptions, describe } from '../values/checks.js';
import { type CheckpointFiles, type CheckpointStore, filesToKeep, type StoredCheckpoint } from './store.js';

/** Options of `indexedDbStore`. */
export interface IndexedDbStoreOptions {
  /** How many checkpoints stay, the newest ones, from 1 up. Default 2. */
  readonly keep?: number;
}

/** A checkpoint as the database holds it. */
interface Row {
  readonly step: number;
  readonly files: readonly (readonly [string, Uint8Array])[];
}

const TABLE = 'checkpoints';

/**
 * Keeps a Trainer's checkpoints in an IndexedDB database of the page's origin, in a page or in a worker.
 * @param name - of the database; only the store may write there
 * @throws TypeError, RangeError; Error where there is no IndexedDB
 * @example
 * const trainer = new Trainer(lora, batches, { loss, store: indexedDbStore('my-adapter'), resume: true });
 */
export function indexedDbStore(name: string, options: IndexedDbStoreOptions = {}): CheckpointStore {
  const where = 'indexedDbStore';
  if (typeof name !== 'string' || name === '')
    throw new TypeError(`${where}: name is ${describe(name)}, expected a string with at least one character`);
  checkOptions(where, options, ['keep']);
  const keep = checkInteger(`${where}: keep`, options.keep ?? 2, 1, Number.MAX_SAFE_INTEGER);
  if (typeof indexedDB === 'undefined')
    throw new Error(
      `${where}: there is no IndexedDB here, expected a page or a worker of one; lora-wasm/node has folderStore`,
    );
  return {
    save: (step, files) => save(name, keep, step, files),
    latest: () => latest(name),
  };
}

/** @throws TypeError, RangeError; Error of the database, such as of a full disk, with every older checkpoint as it was */
async function save(name: string, keep: number, step: number, files: CheckpointFiles): Promise<void> {
  const row = rowOf(step, files);
  await within(name, 'save', 'readwrite', (table) => {
    table.put(row);
    const keys = table.getAllKeys();
    keys.onsuccess = () => {
      for (const key of keys.result.slice(0, -keep)) table.delete(key);
    };
    return keys;
  });
}

async function latest(name: string): Promise<StoredCheckpoint | null> {
  const cursor = await within(name, 'latest', 'readonly', (table) => table.openCursor(null, 'prev'));
  if (cursor === null) return null;
  const { step, files } = cursor.value as Row;
  return { step, files: new Map(files) };
}

/** One transaction: resolves with what `use` asked for when all of it is on disk. */
async function within<T>(
  name: string,
  what: string,
  mode: IDBTransactionMode,
  use: (table: IDBObjectStore) => IDBRequest<T>,
): Promise<T> {
  const database = await open(name, what);
  try {
    const transaction = database.transaction(TABLE, mode, { durability: 'strict' });
    const request = use(transaction.objectStore(TABLE));
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(failed(what, transaction.error));
    });
    return request.result;
  } finally {
    database.close();
  }
}

function open(name: string, what: string): Promise<IDBDatabase> {
  const request = indexedDB.open(`lora-wasm ${name}`, 1);
  return new Promise((resolve, reject) => {
    request.onupgradeneeded = () => {
      request.result.createObjectStore(TABLE, { keyPath: 'step' });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(failed(what, request.error));
  });
}

function failed(what: string, cause: DOMException | null): Error {
  return new Error(
    `indexedDbStore.${what}: the database gave ${cause === null ? 'no answer' : `${cause.name}: ${cause.message}`}, expected it to keep the checkpoint`,
    { cause },
  );
}

/** Copies of the bytes alone: the database would keep all of the memory that they are a part of. @throws TypeError, RangeError */
function rowOf(step: number, files: unknown): Row {
  const entries = filesToKeep('indexedDbStore.save', step, files);
  return { step, files: entries.map(([name, bytes]) => [name, new Uint8Array(bytes)]) };
}
