/** Where checkpoints are kept: the interface that a folder, a browser's database and a caller's own store have in common. */
import { describe } from '../values/checks.js';

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
