/**
 * Fetching a file over HTTP into a place on disk, in Node: what was cut goes on where it stopped, if the server's file is still the same.
 * Called by `node-files.ts`.
 */
import type { FileHandle } from 'node:fs/promises';
import { forgetPart, type PartFile } from './node-parts.js';
import { messageOf, ReadError } from './platform.js';

/** What a fetch is told beside the address. */
export interface FetchOptions {
  /** Looks at the first bytes, and throws where they are not those of the file that is wanted. */
  readonly check?: ((head: Uint8Array) => void) | undefined;
  /** Told of the bytes that are there so far, and of all where the server says so. */
  readonly onProgress?: ((loaded: number, total: number | null) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What is known of a file that has come in part: it goes on only where it is still the same. */
interface Known {
  readonly tag: string;
  readonly size: number;
}

/** With the bytes of it that are there. */
interface KnownPart extends Known {
  readonly have: number;
}

/** An answer, and where its bytes go. */
interface Arriving {
  readonly response: Response;
  readonly from: number;
  readonly size: number | null;
}

/** Bytes of a beginning that is looked at. */
const HEAD = 8;
/** Answers without a byte in a row, after which a fetch is given up. */
const PATIENCE = 3;

const fs = () => globalThis.process.getBuiltinModule('node:fs/promises');

/** Asks until all of the file is in `part`: a connection that is cut is asked anew, as long as more comes. @throws ReadError */
export async function fetchInto(part: PartFile, url: URL, options: FetchOptions): Promise<void> {
  let most = 0;
  for (let vain = 0; ; ) {
    options.signal?.throwIfAborted();
    const known = await partOf(part);
    if (known !== null && known.have === known.size) return;
    const arriving = await ask(part, url, known, options.signal);
    const { end, cause } = await receive(part, arriving, options);
    const { size } = arriving;
    if (cause === null && (size === null || end === size)) return;
    vain = end > Math.max(most, arriving.from) ? 0 : vain + 1;
    most = Math.max(most, end);
    if (vain === PATIENCE || (size !== null && end > size)) throw await cutShort(part, url, end, size, cause);
  }
}

/** What came is kept where it is known what it is the beginning of. */
async function cutShort(
  part: PartFile,
  url: URL,
  end: number,
  size: number | null,
  cause: unknown,
): Promise<ReadError> {
  const kept = (await partOf(part)) !== null;
  if (!kept) await forgetPart(part);
  const why = cause === null ? '' : ` (${messageOf(cause)})`;
  const next = kept ? 'they are kept, and fetching again goes on from there' : 'nothing is kept';
  return new ReadError(
    url,
    false,
    `was cut after ${end}${size === null ? '' : ` of ${size}`} bytes${why}; ${next}`,
    cause,
  );
}

/** Asks for what is missing, or for all where the server's file is not known to be the same. @throws ReadError */
async function ask(
  part: PartFile,
  url: URL,
  known: KnownPart | null,
  signal: AbortSignal | undefined,
): Promise<Arriving> {
  const headers: Record<string, string> = { 'Accept-Encoding': 'identity' };
  if (known !== null) Object.assign(headers, { Range: `bytes=${known.have}-`, 'If-Range': known.tag });
  const response = await fetch(url, { headers, signal: signal ?? null }).catch((cause: unknown) => {
    signal?.throwIfAborted();
    const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
    throw new ReadError(url, false, `gave no answer (${messageOf(reason)})`, cause);
  });
  if (known !== null && (response.status === 206 || response.status === 416)) {
    const place = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get('content-range') ?? '');
    if (response.status === 206 && Number(place?.[1]) === known.have && Number(place?.[2]) === known.size)
      return { response, from: known.have, size: known.size };
    // Not the bytes that were asked for, or no more of them: another file by now.
    await response.body?.cancel();
    await forgetPart(part);
    return ask(part, url, null, signal);
  }
  if (response.status !== 200) {
    await response.body?.cancel();
    const gone = response.status === 404 || response.status === 410;
    throw new ReadError(url, gone, `answered ${response.status} ${response.statusText}`.trimEnd());
  }
  if (/^text\/html\b/i.test(response.headers.get('content-type') ?? '')) {
    await response.body?.cancel();
    throw new ReadError(url, false, 'answered with a page (text/html)');
  }
  return { response, from: 0, size: await begin(part, response) };
}

/** Takes note of what comes. @returns its size, null where nobody says it */
async function begin(part: PartFile, { headers }: Response): Promise<number | null> {
  const length = headers.get('content-length');
  const size = length === null || headers.has('content-encoding') ? null : Number(length);
  const etag = headers.get('etag');
  // A weak tag does not vouch for bytes.
  const tag = etag !== null && !etag.startsWith('W/') ? etag : headers.get('last-modified');
  await forgetPart(part);
  if (tag !== null && size !== null) {
    const known: Known = { tag, size };
    await fs().writeFile(part.note, JSON.stringify(known));
  }
  return size;
}

/** What came before, if it can go on. */
async function partOf(part: PartFile): Promise<KnownPart | null> {
  try {
    const { tag, size } = JSON.parse(await fs().readFile(part.note, 'utf8')) as Known;
    const { size: have } = await fs().stat(part.data);
    return have > 0 && have <= size ? { tag, size, have } : null;
  } catch {
    return null;
  }
}

/** Writes what arrives. @returns where it ended, and what cut it short */
async function receive(
  part: PartFile,
  { response, from, size }: Arriving,
  { check, onProgress, signal }: FetchOptions,
): Promise<{ end: number; cause: unknown }> {
  const reader = response.body?.getReader();
  const handle = await fs().open(part.data, from > 0 ? 'r+' : 'w');
  const head: number[] = [];
  let end = from;
  let looked = from > 0 || check === undefined;
  try {
    for (;;) {
      const next = await readNext(reader, signal);
      if ('cause' in next) return { end, cause: next.cause };
      if (!looked) head.push(...(next.bytes?.subarray(0, HEAD) ?? []));
      if (!looked && (head.length >= HEAD || next.bytes === null)) {
        check?.(Uint8Array.from(head.slice(0, HEAD)));
        looked = true;
      }
      if (next.bytes === null) return { end, cause: null };
      await writeAll(handle, next.bytes, end);
      end += next.bytes.length;
      onProgress?.(end, size);
    }
  } catch (error) {
    await reader?.cancel();
    if (!looked) await forgetPart(part);
    throw error;
  } finally {
    await handle.close();
  }
}

/** The next bytes, null at the end, or what the network did instead. @throws the signal's reason */
async function readNext(
  reader: ReadableStreamDefaultReader<Uint8Array> | undefined,
  signal: AbortSignal | undefined,
): Promise<{ readonly bytes: Uint8Array | null } | { readonly cause: unknown }> {
  try {
    const next = await reader?.read();
    return { bytes: next?.value ?? null };
  } catch (cause) {
    signal?.throwIfAborted();
    return { cause };
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; )
    at += (await handle.write(bytes, at, bytes.length - at, position + at)).bytesWritten;
}
