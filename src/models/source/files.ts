/** Where a model's files are: an address, a Blob, a folder's files by name. All of it becomes things that are read by range. */
import { wrongType } from '../../formats/check.js';
import { type ByteSource, openSource, type RandomAccess } from '../../formats/source.js';
import { platform, ReadError, resolveUrl } from '../../platform/index.js';
import { fetchedFile, folderFiles, sha256Of } from '../../platform/node-files.js';
import { FormatError } from '../../values/format-error.js';
import type { HostAbortSignal } from '../../values/globals.js';
import { isBlob, isMap, urlOf } from '../../values/kind.js';

/** What opening is told beside the source. */
export interface OpenOptions {
  /** Folder of what is fetched, in Node. */
  readonly cache?: string | undefined;
  /** What the SHA-256 of a single file must be, in Node. */
  readonly sha256?: string | undefined;
  readonly onFetch?: ((loaded: number, total: number | null) => void) | undefined;
  readonly signal?: HostAbortSignal | undefined;
  /** What the source is to be, for messages. Default a model: of one behind an address the first bytes are looked at. */
  readonly expected?: 'a model' | 'a tokenizer.json' | undefined;
}

/** Files of a folder. */
export interface ModelFiles {
  /** What errors name: the call and the folder. */
  readonly where: string;
  /** A file; null where there is none of that name. */
  open(name: string): Promise<RandomAccess | null>;
  /** Names that are known, for messages. */
  readonly names: readonly string[];
}

/** One file. */
export interface ModelFile {
  readonly where: string;
  readonly file: RandomAccess;
}

/** @throws TypeError, FormatError; errors of the source */
export async function openFiles(
  where: string,
  source: unknown,
  options: OpenOptions = {},
): Promise<ModelFile | ModelFiles> {
  if (isMap(source)) return filesOf(where, source, options);
  const url = typeof source === 'string' ? addressOf(where, source) : urlOf(source);
  const named = url === null ? nameOf(source) : shownUrl(url);
  const label = named === '' ? where : `${where}: ${named}`;
  if (url === null) return hashed(label, await openSource(label, source as ByteSource), options);
  if (platform !== 'node') {
    if (url.pathname.endsWith('/'))
      throw new TypeError(`${label} is a folder, expected a Map of its files by name, or the address of one`);
    return hashed(label, await openSource(label, url), options);
  }
  if (url.protocol !== 'file:') return fetched(label, url, options);
  const files = await folderFiles(url).catch((error: unknown) => refused(label, error, options));
  if (files !== null) return filesOf(label, files, options);
  return hashed(label, await openSource(label, url), options);
}

function addressOf(where: string, text: string): URL {
  try {
    return resolveUrl(text);
  } catch (cause) {
    throw new TypeError(`${where}: source is '${text}', expected an address or a path`, { cause });
  }
}

/** An address without what may be secret in it. */
export function shownUrl(url: URL): string {
  return url.protocol === 'file:' ? decodeURIComponent(url.pathname) : `${url.origin}${url.pathname}`;
}

function nameOf(source: unknown): string {
  return isBlob(source) && 'name' in source && typeof source.name === 'string' ? source.name : '';
}

function filesOf(where: string, files: Map<unknown, unknown>, { sha256 }: OpenOptions): ModelFiles {
  for (const name of files.keys())
    if (typeof name !== 'string') throw wrongType(`${where}: a name of source`, name, 'a string');
  noHash(where, sha256);
  const names = [...files.keys()] as string[];
  return {
    ...{ where, names },
    async open(name) {
      const source = files.get(name);
      return source === undefined ? null : openSource(`${where}: ${name}`, source as ByteSource);
    },
  };
}

/** A hash is one file's. @throws TypeError */
function noHash(where: string, sha256: string | undefined): void {
  if (sha256 !== undefined)
    throw new TypeError(`${where}: sha256 is given for a folder, expected it for a single file`);
}

/** A file whose hash is compared before anybody reads it. @throws FormatError */
async function hashed(
  where: string,
  file: RandomAccess,
  { sha256, signal }: OpenOptions,
): Promise<ModelFile> {
  if (sha256 === undefined) return { where, file };
  if (platform !== 'node')
    throw new TypeError(`${where}: sha256 is given in a page, expected it in Node alone`);
  const found = await sha256Of(file.size, (begin, end) => {
    signal?.throwIfAborted();
    return file.read(begin, end);
  });
  if (found !== sha256.toLowerCase())
    throw new FormatError(`${where} has the SHA-256 ${found}, expected ${sha256.toLowerCase()}`);
  return { where, file };
}

/** A file or a folder behind an address: its copies on disk. */
async function fetched(where: string, url: URL, options: OpenOptions): Promise<ModelFile | ModelFiles> {
  const { cache, sha256, onFetch, signal } = options;
  const fetchOptions = { folder: cache, onProgress: onFetch, signal };
  if (!url.pathname.endsWith('/')) {
    const check = (head: Uint8Array): void => checkMagic(where, head, options);
    const copy = await fetchedFile(url, { ...fetchOptions, sha256, check }).catch((error: unknown) =>
      refused(where, error, options),
    );
    // What is wrong with a copy is mended by removing it.
    const label = `${where} (kept as ${shownUrl(copy)})`;
    return { where: label, file: await openSource(label, copy) };
  }
  noHash(where, sha256);
  const open = async (name: string): Promise<RandomAccess | null> => {
    const at = new URL(url);
    at.pathname += encodeURIComponent(name);
    try {
      return await openSource(`${where}${name}`, await fetchedFile(at, fetchOptions));
    } catch (error) {
      if (error instanceof ReadError && error.missing) return null;
      return refused(`${where}${name}`, error, options);
    }
  };
  return { where, open, names: [] };
}

/** What is no model is not kept. @throws FormatError */
function checkMagic(where: string, head: Uint8Array, { expected = 'a model' }: OpenOptions): void {
  if (expected !== 'a model') return;
  const text = String.fromCharCode(...head.subarray(0, 4));
  if (text !== 'GGUF')
    throw new FormatError(`${where} begins with ${JSON.stringify(text)}, expected a GGUF file`);
}

/** @throws FormatError for what could not be read, in the words of the call; other errors as they are */
function refused(where: string, error: unknown, { expected = 'a model' }: OpenOptions): never {
  if (!(error instanceof ReadError)) throw error;
  const { detail } = error;
  const said = detail.includes(', expected ') ? detail : `${detail}, expected ${expected}`;
  throw new FormatError(`${where}: ${said}`, { cause: error });
}
