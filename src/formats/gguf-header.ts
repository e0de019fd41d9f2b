/**
 * GGUF's header: version, metadata and the list of tensors, read from a growing prefix of the file, and written. Counts are
 * believed only as far as bytes follow. (The npm package @huggingface/gguf reads these too, but does not bundle for browsers
 * and fills a cut file up with zeros; the tests compare with it.)
 */
import { FormatError } from '../values/format-error.js';
import { decodeUtf8 } from './json.js';
import type { RandomAccess } from './source.js';

/** A tensor as the header lists it: sizes with the fastest first, offset from the start of the data. */
export interface GgufEntry {
  readonly name: string;
  readonly sizes: readonly bigint[];
  readonly type: number;
  readonly offset: bigint;
}

export interface GgufHeader {
  readonly metadata: Map<string, unknown>;
  readonly entries: readonly GgufEntry[];
  /** Bytes of the header, without the padding before the data. */
  readonly length: number;
}

const VERSIONS = [2, 3];
const STRING = 8;
const ARRAY = 9;
const MAX_DEPTH = 4;
const MAX_SIZES = 4;
const FIRST_READ = 2 ** 16;
/** As many bytes, and tensors, as a safetensors header may have; the largest vocabularies come to some 20 MB. */
const HEADER_LIMIT = 100_000_000;
const TENSOR_LIMIT = 1_000_000;
/** A tensor's entry without name and sizes, and a pair of metadata with an empty key and one byte. */
const LEAST_ENTRY = 24;
const LEAST_PAIR = 13;

/** The prefix ends before the header does. */
class CutShort extends Error {}

/** @throws FormatError for a file that is none, or that ends within its header */
export async function readGgufHeader(where: string, source: RandomAccess): Promise<GgufHeader> {
  const most = Math.min(source.size, HEADER_LIMIT);
  for (let size = Math.min(FIRST_READ, most); ; size = Math.min(size * 4, most)) {
    const bytes = await source.read(0, size);
    try {
      return parseHeader(where, bytes, source.size);
    } catch (error) {
      if (!(error instanceof CutShort)) throw error;
      if (size === source.size) throw cutShort(where, size);
      if (size === most)
        throw new FormatError(`${where}: the header has more than ${most} bytes, expected at most that`);
    }
  }
}

function cutShort(where: string, size: number): FormatError {
  return new FormatError(`${where}: the file has ${size} bytes and ends within its header; it is cut short`);
}

function parseHeader(where: string, bytes: Uint8Array, fileSize: number): GgufHeader {
  const { u32, u64, text, value, position } = valueReader(where, bytes, fileSize);
  if (u32() !== 0x46554747)
    throw new FormatError(`${where}: the file does not begin with GGUF, expected it to`);
  const version = u32();
  if (!VERSIONS.includes(version))
    throw new FormatError(
      `${where}: GGUF version ${version}, expected ${VERSIONS.join(' or ')}, little-endian`,
    );
  const [tensors, pairs] = [u64(), u64()];
  if (tensors * BigInt(LEAST_ENTRY) + pairs * BigInt(LEAST_PAIR) > BigInt(fileSize))
    throw new FormatError(
      `${where}: the header names ${tensors} tensors and ${pairs} values, more than ${fileSize} bytes hold; the file is cut short`,
    );
  if (tensors > TENSOR_LIMIT)
    throw new FormatError(`${where}: the header names ${tensors} tensors, expected at most ${TENSOR_LIMIT}`);
  const metadata = new Map<string, unknown>();
  for (let i = 0n; i < pairs; i++) {
    const key = text();
    if (metadata.has(key))
      throw new FormatError(`${where}: metadata '${key}' appears twice, expected it once`);
    metadata.set(key, value(u32(), 0));
  }
  const entries: GgufEntry[] = [];
  for (let i = 0n; i < tensors; i++) {
    const name = text();
    const dimensions = u32();
    if (dimensions > MAX_SIZES)
      throw new FormatError(
        `${where}: tensor '${name}' has ${dimensions} dimensions, expected ${MAX_SIZES} at most`,
      );
    const sizes = Array.from({ length: dimensions }, u64);
    entries.push({ name, sizes, type: u32(), offset: u64() });
  }
  return { metadata, entries, length: position() };
}

/** Reads GGUF's values one behind the other. */
function valueReader(where: string, bytes: Uint8Array, fileSize: number) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  /** Bytes that the file has not are not asked for. */
  const need = (length: number | bigint): void => {
    if (BigInt(length) > BigInt(fileSize - at)) throw cutShort(where, fileSize);
    if (BigInt(length) > BigInt(bytes.length - at)) throw new CutShort();
  };
  const take = (length: number | bigint): number => {
    need(length);
    at += Number(length);
    return at - Number(length);
  };
  const u32 = (): number => view.getUint32(take(4), true);
  const u64 = (): bigint => view.getBigUint64(take(8), true);
  const text = (): string => {
    const length = u64();
    const start = take(length);
    return decodeUtf8(where, bytes.subarray(start, at));
  };
  const list = (depth: number): unknown[] => {
    const type = u32();
    const count = u64();
    // Every element has a byte at least.
    need(count);
    return Array.from({ length: Number(count) }, () => value(type, depth + 1));
  };
  const readers = [
    () => view.getUint8(take(1)),
    () => view.getInt8(take(1)),
    () => view.getUint16(take(2), true),
    () => view.getInt16(take(2), true),
    u32,
    () => view.getInt32(take(4), true),
    () => view.getFloat32(take(4), true),
    () => view.getUint8(take(1)) !== 0,
    text,
    null,
    u64,
    () => view.getBigInt64(take(8), true),
    () => view.getFloat64(take(8), true),
  ];
  const value = (type: number, depth: number): unknown => {
    if (type === ARRAY && depth < MAX_DEPTH) return list(depth);
    const read = readers[type];
    if (read === undefined || read === null)
      throw new FormatError(
        `${where}: a metadata value has type ${type} at depth ${depth}, expected 0 to 12`,
      );
    return read();
  };
  return { u32, u64, text, value, position: () => at };
}

/** The bytes of a header, version 3, without padding: strings as such, numbers as float32. */
export function formatGgufHeader(
  metadata: Iterable<readonly [string, string | number]>,
  entries: readonly GgufEntry[],
): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const put = (size: number, fill: (view: DataView) => void): void => {
    const part = new Uint8Array(size);
    fill(new DataView(part.buffer));
    parts.push(part);
  };
  const u32 = (value: number): void => put(4, (view) => view.setUint32(0, value, true));
  const u64 = (value: bigint): void => put(8, (view) => view.setBigUint64(0, value, true));
  const text = (value: string): void => {
    const bytes = new TextEncoder().encode(value);
    u64(BigInt(bytes.length));
    parts.push(bytes);
  };
  const pairs = [...metadata];
  u32(0x46554747);
  u32(3);
  u64(BigInt(entries.length));
  u64(BigInt(pairs.length));
  for (const [key, value] of pairs) {
    text(key);
    u32(typeof value === 'string' ? STRING : 6);
    if (typeof value === 'string') text(value);
    else put(4, (view) => view.setFloat32(0, value, true));
  }
  for (const { name, sizes, type, offset } of entries) {
    text(name);
    u32(sizes.length);
    sizes.forEach(u64);
    u32(type);
    u64(offset);
  }
  const header = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    header.set(part, at);
    at += part.length;
  }
  return header;
}
