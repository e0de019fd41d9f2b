/**
 * Bytes read by range: a Blob, a URL, or a source of the caller's own. Over HTTP by Range requests; a server that ignores
 * them sends the whole body, which is then kept. Every read gives exactly the bytes asked for, or an error.
 */

import { fileSource } from '../platform/file-range.js';
import { FormatError } from '../values/format-error.js';
import type { HostBlob, HostUrl } from '../values/globals.js';
import { isBlob, urlOf } from '../values/kind.js';
import { field, wrongType } from './check.js';

/** Something of a known size that is read by range. */
export interface RandomAccess {
  /** Bytes in all. */
  readonly size: number;
  /** Bytes from `begin` up to `end`. */
  read(begin: number, end: number): Promise<Uint8Array>;
  /** Puts the bytes from `begin` on into `to`, and gives how many there were. Without it they are read, each piece into memory of its own. */
  readInto?(begin: number, to: Uint8Array): Promise<number>;
}

/** What a file is opened from. */
export type ByteSource = HostBlob | HostUrl | RandomAccess;

/** @throws TypeError for another kind; FormatError, network and file system errors */
export async function openSource(where: string, source: ByteSource): Promise<RandomAccess> {
  return exact(where, await kindOf(where, source));
}

async function kindOf(where: string, source: ByteSource): Promise<RandomAccess> {
  if (isBlob(source)) {
    const read = async (begin: number, end: number): Promise<Uint8Array> =>
      new Uint8Array(await source.slice(begin, end).arrayBuffer());
    return { size: source.size, read };
  }
  const url = urlOf(source);
  if (url !== null) return (await fileSource(url)) ?? (await httpSource(where, url));
  if (isRandomAccess(source)) {
    if (!Number.isSafeInteger(source.size) || source.size < 0)
      throw wrongType(`${where}: source.size`, source.size, 'a number of bytes');
    return source;
  }
  throw wrongType(`${where}: source`, source, 'a Blob, a URL or { size, read }');
}

function isRandomAccess(source: unknown): source is RandomAccess {
  return typeof source === 'object' && source !== null && typeof field(source, 'read') === 'function';
}

function exact(where: string, source: RandomAccess): RandomAccess {
  const notAll = (begin: number, end: number, got: string): FormatError =>
    new FormatError(`${where}: reading bytes ${begin} to ${end} gave ${got}, expected ${end - begin}`);
  const read = async (begin: number, end: number): Promise<Uint8Array> => {
    if (begin === end) return new Uint8Array(0);
    const bytes = await source.read(begin, end);
    if (!(bytes instanceof Uint8Array) || bytes.length !== end - begin)
      throw notAll(begin, end, bytes instanceof Uint8Array ? `${bytes.length} bytes` : 'no Uint8Array');
    return bytes;
  };
  if (typeof source.readInto !== 'function') return { size: source.size, read };
  const readInto = async (begin: number, to: Uint8Array): Promise<number> => {
    const found = await source.readInto!(begin, to);
    if (found !== to.length) throw notAll(begin, begin + to.length, `${found} bytes`);
    return found;
  };
  return { size: source.size, read, readInto };
}

/** The whole body kept in memory. */
export function memorySource(bytes: Uint8Array): RandomAccess {
  return { size: bytes.length, read: async (begin, end) => bytes.slice(begin, end) };
}

async function httpSource(where: string, url: URL): Promise<RandomAccess> {
  const first = await ask(where, url, { headers: { Range: 'bytes=0-7' } });
  const place = placeOf(first);
  if (place === null || place.begin !== 0) {
    // 200: the server ignores Range. 206 without a readable place, or 416 for an empty file: ask for all of it.
    if (first.status === 200) return memorySource(await bodyOf(where, url, first));
    await first.body?.cancel();
    return memorySource(await bodyOf(where, url, await ask(where, url)));
  }
  await first.body?.cancel();
  const tag = first.headers.get('etag');
  const read = async (begin: number, end: number): Promise<Uint8Array> => {
    const response = await ask(where, url, { headers: { Range: `bytes=${begin}-${end - 1}` } });
    const body = await bodyOf(where, url, response);
    const now = response.status === 200 ? { begin: 0, size: body.length } : placeOf(response);
    if (now?.size !== place.size || response.headers.get('etag') !== tag)
      throw new FormatError(`${where}: ${url.href} changed while it was read, expected ${place.size} bytes`);
    return response.status === 200 ? body.subarray(begin, end) : body.subarray(begin - now.begin);
  };
  return { size: place.size, read };
}

/** @throws FormatError where no answer comes */
async function ask(where: string, url: URL, init?: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new FormatError(`${where}: ${url.href} gave no answer (${why}), expected the file`, { cause });
  }
}

async function bodyOf(where: string, url: URL, response: Response): Promise<Uint8Array> {
  if (!response.ok)
    throw new FormatError(
      `${where}: ${url.href} answered ${response.status} ${response.statusText}, expected the file`,
    );
  return new Uint8Array(await response.arrayBuffer());
}

/** Where a partial answer lies, from Content-Range; null when it does not say, or when its bytes are encoded. */
function placeOf(response: Response): { begin: number; size: number } | null {
  if (response.status !== 206 || response.headers.has('content-encoding')) return null;
  const found = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get('content-range') ?? '');
  return found === null ? null : { begin: Number(found[1]), size: Number(found[2]) };
}
