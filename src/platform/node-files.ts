/**
 * Files as Node has them, for whoever loads models: the files of a folder, the hash of a file, and a file behind an address, fetched
 * once into a cache folder. `no-node-files.ts` stands in its place in a bundle for a page. Node's modules are asked for when
 * they are wanted, as in `node.ts`.
 */
import { makeFolder } from './make-folder.js';
import { type FetchOptions, fetchInto } from './node-fetch.js';
import { claimPart, forgetLeftParts, forgetPart, type PartFile, releasePart } from './node-parts.js';
import { messageOf, ReadError } from './platform.js';

/** What `fetchedFile` takes beside the address. */
export interface CacheOptions extends FetchOptions {
  /** Where copies are kept. Default: `lora-wasm` in the user's cache folder. */
  readonly folder?: string | undefined;
  /** What the file's SHA-256 must be, in hexadecimal digits. */
  readonly sha256?: string | undefined;
}

const fs = () => globalThis.process.getBuiltinModule('node:fs/promises');
const pathOf = () => globalThis.process.getBuiltinModule('node:path');
const hash = () => globalThis.process.getBuiltinModule('node:crypto').createHash('sha256');

/** The files of a folder by name, each by its address; null where the address is no folder's. @throws ReadError where nothing is there */
export async function folderFiles(url: URL): Promise<Map<string, URL> | null> {
  try {
    if (!(await fs().stat(url)).isDirectory()) return null;
    const folder = new URL(url.href.endsWith('/') ? url : `${url.href}/`);
    const entries = await fs().readdir(folder, { withFileTypes: true });
    const names = entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
    return new Map(names.sort().map((name) => [name, new URL(encodeURIComponent(name), folder)]));
  } catch (cause) {
    const missing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
    throw new ReadError(url, missing, missing ? 'no such file or folder' : messageOf(cause), cause);
  }
}

/** The SHA-256, in hexadecimal digits, of what `read` gives piece by piece. */
export async function sha256Of(
  size: number,
  read: (begin: number, end: number) => Promise<Uint8Array>,
): Promise<string> {
  const sum = hash();
  const step = 2 ** 20;
  for (let at = 0; at < size; at += step) sum.update(await read(at, Math.min(size, at + step)));
  return sum.digest('hex');
}

/**
 * The address of a copy on disk. What is there is not asked for again; what was cut goes on where it stopped; a copy is there as a
 * whole or not at all.
 * @throws ReadError for another answer than the file, and for a folder that cannot be written; what `check` throws; the signal's reason
 */
export async function fetchedFile(url: URL, options: CacheOptions = {}): Promise<URL> {
  const folder = options.folder ?? cacheFolder();
  const { pathToFileURL } = globalThis.process.getBuiltinModule('node:url');
  const path = pathOf().join(folder, nameOf(url));
  if (await isThere(path, options)) return pathToFileURL(path);
  try {
    await makeFolder(folder);
    return await keptFile(url, path, options);
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    const why = `cannot be kept in ${folder} (${error.message}), expected a folder that can be written, with room for it`;
    throw new ReadError(url, false, why, error);
  }
}

/** Fetches what becomes the file at `path`, in a folder that is there. */
async function keptFile(url: URL, path: string, options: CacheOptions): Promise<URL> {
  const part = await claimPart(path);
  try {
    await fetchInto(part, url, options);
    await checkHash(part, url, options);
    await takeName(part, path);
  } catch (error) {
    await releasePart(part);
    throw error;
  }
  await forgetPart(part);
  await forgetLeftParts(path);
  return globalThis.process.getBuiltinModule('node:url').pathToFileURL(path);
}

/** @throws ReadError for a file of another hash, of which nothing is kept */
async function checkHash(part: PartFile, url: URL, { sha256, signal }: CacheOptions): Promise<void> {
  if (sha256 === undefined) return;
  const found = await hashOf(part.data, signal);
  if (found === sha256.toLowerCase()) return;
  await forgetPart(part);
  throw new ReadError(url, false, `has the SHA-256 ${found}, expected ${sha256.toLowerCase()}`);
}

async function takeName({ data }: PartFile, path: string): Promise<void> {
  try {
    await fs().rename(data, path);
  } catch (error) {
    // Another process may have been faster with the same file, and have it open.
    if (!(await isThere(path, {}))) throw error;
  }
}

/** Where the user's programs keep what they can fetch again. */
function cacheFolder(): string {
  const { env, platform } = globalThis.process;
  const home = globalThis.process.getBuiltinModule('node:os').homedir();
  const { join } = pathOf();
  const base =
    platform === 'win32'
      ? (env.LOCALAPPDATA ?? join(home, 'AppData', 'Local'))
      : platform === 'darwin'
        ? join(home, 'Library', 'Caches')
        : env.XDG_CACHE_HOME || join(home, '.cache');
  return join(base, 'lora-wasm');
}

/** A name of the address's own: the end of its path, behind a hash of the whole. */
function nameOf(url: URL): string {
  const whole = new URL(url);
  whole.hash = '';
  const end = url.pathname
    .split('/')
    .at(-1)!
    .replaceAll(/[^\w.-]/g, '_')
    .slice(-100);
  return `${hash().update(whole.href).digest('hex').slice(0, 16)}-${end}`;
}

async function isThere(path: string, { sha256, signal }: CacheOptions): Promise<boolean> {
  const stat = await fs()
    .stat(path)
    .catch(() => null);
  if (stat === null) return false;
  return sha256 === undefined || (await hashOf(path, signal)) === sha256.toLowerCase();
}

/** @throws the signal's reason */
async function hashOf(path: string, signal: AbortSignal | undefined): Promise<string> {
  const handle = await fs().open(path);
  try {
    const { size } = await handle.stat();
    const buffer = new Uint8Array(2 ** 20);
    return await sha256Of(size, async (begin, end) => {
      signal?.throwIfAborted();
      const { bytesRead } = await handle.read(buffer, 0, end - begin, begin);
      return buffer.subarray(0, bytesRead);
    });
  } finally {
    await handle.close();
  }
}
