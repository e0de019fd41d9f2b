/**
 * What of a file has come so far, in Node's cache folder. Each belongs to the one fetch that writes it: two processes, or two calls, that
 * ask for the same file never write into each other's. A fetch that is cut leaves its part for the next, and so does a process that dies.
 * Called by `node-files.ts`; `node-fetch.ts` writes into it.
 */

/** A part of a file, and the note of what it is a part of. */
export interface PartFile {
  readonly data: string;
  readonly note: string;
  /** The name of `data` while it is nobody's. */
  readonly free: string;
}

const DIGITS = '[0-9a-f]{16}';
/** A part that was left alone for so long belongs to nobody, whatever its name says: milliseconds. */
const ABANDONED = 24 * 60 * 60 * 1000;

const fs = () => globalThis.process.getBuiltinModule('node:fs/promises');
const pathOf = () => globalThis.process.getBuiltinModule('node:path');
const hash = (text: string): string =>
  globalThis.process.getBuiltinModule('node:crypto').createHash('sha256').update(text).digest('hex');

/** This machine, in digits: process numbers are its own. */
const machine = (): string => hash(globalThis.process.getBuiltinModule('node:os').hostname()).slice(0, 8);

function partFile(path: string, digits: string): PartFile {
  const free = `${path}.${digits}.part`;
  return { data: `${free}.${machine()}-${globalThis.process.pid}`, note: `${path}.${digits}.json`, free };
}

/** A part of a file of its own for whoever calls: one that was left, or an empty one. @param path - of the whole file */
export async function claimPart(path: string): Promise<PartFile> {
  for (const left of await leftParts(path)) {
    const part = partFile(path, left.digits);
    // Of several that want it, one is the first to rename it.
    if (await moved(left.data, part.data)) return part;
  }
  const bytes = globalThis.crypto.getRandomValues(new Uint8Array(8));
  return partFile(path, [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(''));
}

/** Leaves a part to whoever fetches next. */
export async function releasePart({ data, note, free }: PartFile): Promise<void> {
  if (!(await moved(data, free))) await fs().rm(note, { force: true });
}

/** Removes what came in part, and what is known of it. */
export async function forgetPart({ data, note }: PartFile): Promise<void> {
  for (const path of [data, note]) await fs().rm(path, { force: true });
}

/** Removes what others have left of a file that is there as a whole. */
export async function forgetLeftParts(path: string): Promise<void> {
  for (const { data, digits } of await leftParts(path)) await forgetPart({ ...partFile(path, digits), data });
}

/** Parts of a file that are nobody's. */
async function leftParts(path: string): Promise<{ readonly data: string; readonly digits: string }[]> {
  const { dirname, basename, join } = pathOf();
  const pattern = new RegExp(`^\\.(${DIGITS})\\.part(?:\\.([0-9a-f]{8})-(\\d+))?$`);
  const found = [];
  for (const name of await fs().readdir(dirname(path))) {
    if (!name.startsWith(basename(path))) continue;
    const [whole, digits = '', host, pid] = pattern.exec(name.slice(basename(path).length)) ?? [];
    const data = join(dirname(path), name);
    if (whole === undefined) continue;
    if (host !== undefined && (await isOwned(data, host, Number(pid)))) continue;
    found.push({ data, digits });
  }
  return found;
}

async function isOwned(data: string, host: string, pid: number): Promise<boolean> {
  const stat = await fs()
    .stat(data)
    .catch(() => null);
  if (stat === null || Date.now() - stat.mtimeMs > ABANDONED) return false;
  return host !== machine() || isAlive(pid);
}

function isAlive(pid: number): boolean {
  try {
    return globalThis.process.kill(pid, 0);
  } catch (error) {
    // There is one, of another user.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** Whether a file was there to be renamed. */
async function moved(from: string, to: string): Promise<boolean> {
  try {
    await fs().rename(from, to);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}
