/** A file on disk by range, where there is a disk. Apart from the platforms: who reads none loads none of it. Called by `formats` and the command. */
import type { FileHandle } from 'node:fs/promises';
import { isNode } from './node.js';

/** A file of a known size that is read by range. */
export interface FileRange {
  readonly size: number;
  read(begin: number, end: number): Promise<Uint8Array<ArrayBuffer>>;
  /** The bytes from `begin` on that fill `to`. @returns how many there were: fewer where the file ends before */
  readInto(begin: number, to: Uint8Array): Promise<number>;
}

/** A file behind a `file:` URL; null for other URLs, and in a page. Each read opens and closes it, so nothing is left open. */
export async function fileSource(url: URL): Promise<FileRange | null> {
  if (url.protocol !== 'file:' || !isNode()) return null;
  const { open, stat } = globalThis.process.getBuiltinModule('node:fs/promises');
  const { size } = await stat(url);
  const opened = async <T>(use: (handle: FileHandle) => Promise<T>): Promise<T> => {
    const handle = await open(url);
    try {
      return await use(handle);
    } finally {
      await handle.close();
    }
  };
  return {
    size,
    read: (begin, end) => opened((handle) => readRange(handle, begin, end)),
    readInto: (begin, to) => opened((handle) => readFrom(handle, begin, to)),
  };
}

/** Bytes of an open file from `begin` up to `end`; fewer where the file ends. One read of Node gives 2 GiB at most. */
export async function readRange(
  handle: FileHandle,
  begin: number,
  end: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(end - begin);
  return bytes.subarray(0, await readFrom(handle, begin, bytes));
}

/** Fills `to`, unless the file ends before. @returns how many bytes there were */
async function readFrom(handle: FileHandle, begin: number, to: Uint8Array): Promise<number> {
  let at = 0;
  while (at < to.length) {
    const length = Math.min(to.length - at, 2 ** 30);
    const { bytesRead } = await handle.read(to, at, length, begin + at);
    if (bytesRead === 0) break;
    at += bytesRead;
  }
  return at;
}
