/** Where checkpoints are kept: the interface that a folder, a browser's database and a caller's own store have in common. */
import { checkInteger, describe } from '../values/checks.js';
import { bytesOf, isMap } from '../values/kind.js';

/** A checkpoint's files by name. A name may have one folder: `other/adapter_model.safetensors`. */
export type CheckpointFiles = ReadonlyMap<string, Uint8Array>;

/** A checkpoint as a store gives it back. */
export interface StoredCheckpoint {
  /** Optimiser steps in it. */
  readonly step: number;
  readonly files: CheckpointFiles;
}

/** Keeps checkpoints whole: after an error, or an end in the middle of `save`, `latest` gives the one before. */
export interface CheckpointStore {
  /** Keeps a checkpoint; resolves when it would survive a loss of power. */
  save(step: number, files: CheckpointFiles): Promise<void>;
  /** The newest checkpoint, null where there is none. */
  latest(): Promise<StoredCheckpoint | null>;
}

/** @throws TypeError */
export function checkStore(where: string, store: unknown): CheckpointStore {
  const has = (method: string): boolean => typeof Reflect.get(store as object, method) === 'function';
  if (store === null || typeof store !== 'object' || !has('save') || !has('latest'))
    throw new TypeError(`${where}: store is ${describe(store)}, expected { save, latest }`);
  return store as CheckpointStore;
}

/** What a store's `latest` gave; undefined is none too. @throws TypeError */
export function checkStored(where: string, found: unknown): StoredCheckpoint | null {
  if (found === undefined || found === null) return null;
  if (
    typeof found !== 'object' ||
    !('files' in found) ||
    !('step' in found) ||
    typeof found.step !== 'number'
  )
    throw new TypeError(
      `${where}: the store's latest gave ${describe(found)}, expected { step, files } or null`,
    );
  checkFiles(`${where}: the store's latest`, found.files);
  return found as StoredCheckpoint;
}

/** @throws TypeError */
export function checkFiles(where: string, files: unknown): asserts files is ReadonlyMap<unknown, unknown> {
  if (!isMap(files))
    throw new TypeError(`${where}: files is ${describe(files)}, expected a Map of bytes by name`);
}

/** What a store was asked to keep, for stores to call. @throws TypeError, RangeError */
export function filesToKeep(where: string, step: unknown, files: unknown): [string, Uint8Array][] {
  checkInteger(`${where}: step`, step, 0, Number.MAX_SAFE_INTEGER);
  checkFiles(where, files);
  return Array.from(files, ([name, value]): [string, Uint8Array] => {
    if (typeof name !== 'string')
      throw new TypeError(`${where}: a file is named ${describe(name)}, expected a string`);
    const bytes = bytesOf(value);
    if (bytes === null) throw new TypeError(`${where}: ${name} is ${describe(value)}, expected bytes`);
    return [name, bytes];
  });
}
