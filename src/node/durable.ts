/** Writing to disk so that it stays through a loss of power: what is written is synced, and so is the folder that a name changed in. */
import { lstat, open, rename, rm, stat } from 'node:fs/promises';

/** Writes a file and syncs it. */
export async function writeSynced(path: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(path, 'w');
  try {
    await naming(path, async () => {
      await handle.writeFile(bytes);
      await handle.sync();
    });
  } finally {
    await handle.close();
  }
}

/** Runs what writes to a file: of a full disk the system says no more than that it is full. @throws what `work` does, with the path */
export async function naming<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Error && 'code' in error) || error.message.includes(path)) throw error;
    const { code } = error;
    throw Object.assign(new Error(`${path}: ${error.message}`, { cause: error }), { code, path });
  }
}

/** A device or a pipe would be gone, and a file in its place. @throws Error */
export async function checkReplaceable(where: string, path: string): Promise<void> {
  const found = await lstat(path).catch(() => null);
  const target = found?.isSymbolicLink() ? await stat(path).catch(() => null) : found;
  if (target !== null && !target.isFile() && !target.isDirectory())
    throw new Error(`${where}: ${path} is a device or a pipe, expected a file, or nothing`);
}

/** What a system says that syncs no folders, such as Windows. */
const UNSYNCED = new Set(['EISDIR', 'EPERM', 'EACCES', 'EINVAL', 'ENOTSUP', 'EBADF']);

/** Syncs the names in a folder, where the system can. */
export async function syncFolder(path: string): Promise<void> {
  try {
    const handle = await open(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && UNSYNCED.has(String(error.code)))) throw error;
  }
}

/** Gives `work` a temporary name, which becomes `path` when it is done; after an error there is none. */
export async function replacing(
  temporary: string,
  path: string,
  folder: string,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
    await rename(temporary, path);
  } catch (error) {
    // What stood against the work may stand against this too; the first error counts.
    await rm(temporary, { recursive: true, force: true }).catch(() => {});
    throw error;
  }
  await syncFolder(folder);
}
