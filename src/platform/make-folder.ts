/** A folder in Node's file system: stores of checkpoints, the command and the cache of fetched files make theirs by it. */

const fs = () => globalThis.process.getBuiltinModule('node:fs/promises');

/**
 * Makes a folder and those that it lies in; one that is there stays. Node's own `recursive` tries for ever where a system says of a
 * new name that there is no such, as `/proc` does.
 * @throws file system errors
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    await fs().mkdir(path);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null;
    const above = globalThis.process.getBuiltinModule('node:path').dirname(path);
    if (code === 'EEXIST' && (await isFolder(path))) return;
    if (code !== 'ENOENT' || above === path || (await isFolder(above))) throw error;
    await makeFolder(above);
    await makeFolder(path);
  }
}

async function isFolder(path: string): Promise<boolean> {
  return fs()
    .stat(path)
    .then(
      (found) => found.isDirectory(),
      () => false,
    );
}
