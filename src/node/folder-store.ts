/**
 * Checkpoints in a folder, one folder each: written under a temporary name, synced, renamed; older ones go when a newer one
 * stands. So whenever the program ends, or the disk is full, what has a checkpoint's name is whole.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { checkText } from '../formats/check.js';
import { makeFolder } from '../platform/make-folder.js';
import {
  type CheckpointFiles,
  type CheckpointStore,
  filesToKeep,
  type StoredCheckpoint,
} from '../train/store.js';
import { checkInteger, checkOptions, describe } from '../values/checks.js';
import { replacing, syncFolder, writeSynced } from './durable.js';

/** Options of `folderStore`. */
export interface FolderStoreOptions {
  /** How many checkpoints stay, the newest ones, from 1 up. Default 2. */
  readonly keep?: number;
}

/** `step-00000012`, and `step-00000012.1` where that step was saved again. */
const NAME = /^step-(\d{8,})(?:\.(\d+))?$/;
/** What a program left that ended in the middle of its work. */
const LEFT = /^\.step-.*\.tmp$/;

/** A checkpoint's place among others. */
export interface Place {
  readonly name: string;
  readonly step: number;
  readonly again: number;
}

/**
 * Keeps a Trainer's checkpoints in a folder, made when the first one comes.
 * @param folder - a path; only the store may write there
 * @throws TypeError, RangeError
 * @example
 * const trainer = new Trainer(lora, batches, { loss, store: folderStore('out/checkpoints', { keep: 2 }), resume: true });
 */
export function folderStore(folder: string, options: FolderStoreOptions = {}): CheckpointStore {
  const where = 'folderStore';
  checkText(`${where}: folder`, folder);
  checkOptions(where, options, ['keep']);
  const keep = checkInteger(`${where}: keep`, options.keep ?? 2, 1, Number.MAX_SAFE_INTEGER);
  return {
    save: (step, files) => save(folder, keep, step, files),
    latest: () => latest(folder),
  };
}

/** @throws TypeError, RangeError; file system errors, with every older checkpoint as it was */
async function save(folder: string, keep: number, step: number, files: CheckpointFiles): Promise<void> {
  const entries = checkedFiles(step, files);
  await makeFolder(folder);
  const names = await readdir(folder);
  await Promise.all(names.filter((name) => LEFT.test(name)).map((name) => remove(join(folder, name))));
  const places = placesOf(names);
  const again = places.filter((place) => place.step === step).map((place) => place.again + 1);
  const name = nameOf(step, Math.max(0, ...again));
  const temporary = join(folder, `.${name}.${randomUUID()}.tmp`);
  await replacing(temporary, join(folder, name), folder, async () => {
    const folders = new Set([temporary, ...entries.map(([path]) => dirname(join(temporary, path)))]);
    // One after the other: a recursive mkdir tells of a read-only disk as of a folder that is not there.
    for (const made of folders) await mkdir(made);
    for (const [path, bytes] of entries) await writeSynced(join(temporary, path), bytes);
    for (const made of folders) await syncFolder(made);
  });
  await forget(folder, places, keep - 1);
}

/** Takes all but the newest `keep` away: out of their names first, so that none is ever a part of itself. */
async function forget(folder: string, places: readonly Place[], keep: number): Promise<void> {
  for (const { name } of places.slice(0, Math.max(0, places.length - keep))) {
    const temporary = join(folder, `.${name}.${randomUUID()}.tmp`);
    await rename(join(folder, name), temporary);
    await remove(temporary);
  }
}

async function remove(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
}

/** @throws file system errors, but where there is no folder yet */
async function latest(folder: string): Promise<StoredCheckpoint | null> {
  const newest = await newestIn(folder);
  return newest && { step: newest.step, files: await readFiles(join(folder, newest.name)) };
}

/** The newest checkpoint by its names alone; the command asks for no more. @throws file system errors, but where there is no folder yet */
export async function newestIn(folder: string): Promise<Place | null> {
  try {
    return placesOf(await readdir(folder)).at(-1) ?? null;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

/** The files of one checkpoint's folder; the command's `inspect` reads one alone. @throws file system errors */
export async function readFiles(root: string): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for (const entry of await readdir(root, { withFileTypes: true })) {
    const inner = entry.isDirectory() ? await readdir(join(root, entry.name)) : [null];
    for (const name of inner) {
      const path = name === null ? entry.name : `${entry.name}/${name}`;
      files.set(path, new Uint8Array(await readFile(join(root, path))));
    }
  }
  return files;
}

/** The checkpoints among the names of a folder, the newest last. */
function placesOf(names: readonly string[]): Place[] {
  const places = names.flatMap((name): Place[] => {
    const found = NAME.exec(name);
    return found === null ? [] : [{ name, step: Number(found[1]), again: Number(found[2] ?? 0) }];
  });
  return places.sort((a, b) => a.step - b.step || a.again - b.again);
}

function nameOf(step: number, again: number): string {
  return `step-${String(step).padStart(8, '0')}${again === 0 ? '' : `.${again}`}`;
}

/** @throws TypeError, RangeError for what could not be read again, or would lie elsewhere */
function checkedFiles(step: number, files: unknown): [string, Uint8Array][] {
  const where = 'folderStore.save';
  const entries = filesToKeep(where, step, files);
  const wrong = entries.find(([name]) => !/^[\w-][\w.-]*(?:\/[\w-][\w.-]*)?$/.test(name));
  if (wrong !== undefined)
    throw new RangeError(
      `${where}: a file is named ${describe(wrong[0])}, expected a name, or a folder and a name`,
    );
  return entries;
}
