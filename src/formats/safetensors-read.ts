/** Reading safetensors strictly: the header is checked as a whole, against the size of the file, before anything is allocated. */

import { FormatError, listed } from '../values/format-error.js';
import { bytesOf, checkText } from './check.js';
import { DTYPE_BITS, type Dtype, decode, isDtype, type TypedArray, toFloat32 } from './dtypes.js';
import { decodeUtf8, type Json, JsonNumber, parseJson } from './json.js';

/** One tensor's place: offsets in bytes from the end of the header. */
export interface TensorInfo {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** A checked header: where the data starts, the tensors, the metadata. */
export interface Header {
  readonly dataStart: number;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: ReadonlyMap<string, string>;
}

const HEADER_LIMIT = 100_000_000n;
const TENSOR_LIMIT = 1_000_000;
const RANK_LIMIT = 32;

/** Length of the header from the first eight bytes. @throws FormatError */
export function headerLength(where: string, prefix: Uint8Array, fileSize: number): number {
  if (fileSize < 8 || prefix.length < 8)
    throw new FormatError(`${where}: the file has ${fileSize} bytes, expected at least 8; it is cut short`);
  const length = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true);
  if (length === 0n || length > HEADER_LIMIT)
    throw new FormatError(
      `${where}: the header has ${length} bytes, expected 1 to ${HEADER_LIMIT}; the file is no safetensors`,
    );
  if (length > BigInt(fileSize - 8)) {
    throw new FormatError(
      `${where}: the header has ${length} bytes, but only ${fileSize - 8} follow; the file is cut short`,
    );
  }
  return Number(length);
}

/** @param bytes - the header itself, without its length @throws FormatError */
export function parseHeader(where: string, bytes: Uint8Array, fileSize: number): Header {
  const header = `${where}: header`;
  const root = parseJson(header, decodeUtf8(header, bytes), '__metadata__');
  if (!(root instanceof Map)) throw new FormatError(`${where}: the header is no object, expected one`);
  const named = root.size - (root.has('__metadata__') ? 1 : 0);
  if (named > TENSOR_LIMIT)
    throw new FormatError(`${where}: the header names ${named} tensors, expected at most ${TENSOR_LIMIT}`);
  const tensors = new Map<string, TensorInfo>();
  let metadata = new Map<string, string>();
  for (const [name, value] of root) {
    if (name === '__metadata__') metadata = metadataOf(where, value);
    else tensors.set(name, infoOf(`${where}: tensor '${name}'`, value));
  }
  const dataStart = 8 + bytes.length;
  checkLayout(where, tensors, fileSize - dataStart);
  return { dataStart, tensors, metadata };
}

function metadataOf(where: string, value: Json): Map<string, string> {
  const metadata = new Map<string, string>();
  if (value === null) return metadata;
  if (!(value instanceof Map))
    throw new FormatError(`${where}: __metadata__ is no object, expected an object of strings`);
  for (const [key, text] of value) {
    if (typeof text !== 'string')
      throw new FormatError(`${where}: __metadata__ '${key}' is no string, expected one`);
    metadata.set(key, text);
  }
  return metadata;
}

function infoOf(where: string, value: Json): TensorInfo {
  if (!(value instanceof Map))
    throw new FormatError(`${where}: is no object, expected dtype, shape and data_offsets`);
  const dtype = value.get('dtype');
  if (!isDtype(dtype)) {
    const got = dtype instanceof JsonNumber ? dtype.text : JSON.stringify(dtype ?? null);
    throw new FormatError(`${where}: dtype is ${got}, expected one of ${Object.keys(DTYPE_BITS).join(', ')}`);
  }
  const shape = integers(`${where}: shape`, value.get('shape'), RANK_LIMIT);
  const offsets = integers(`${where}: data_offsets`, value.get('data_offsets'), 2);
  const [begin, end] = offsets;
  if (begin === undefined || end === undefined || begin > end)
    throw new FormatError(`${where}: data_offsets is [${offsets.join(', ')}], expected [begin, end]`);
  const bits = shape.reduce((product, dim) => product * BigInt(dim), BigInt(DTYPE_BITS[dtype]));
  if (bits % 8n !== 0n || bits / 8n !== BigInt(end - begin)) {
    throw new FormatError(
      `${where}: data_offsets hold ${end - begin} bytes, expected ${Number(bits) / 8} for ${dtype} [${shape.join(', ')}]`,
    );
  }
  return { dtype, shape, begin, end };
}

function integers(where: string, value: Json | undefined, most: number): number[] {
  if (!Array.isArray(value)) throw new FormatError(`${where}: is no array, expected integers`);
  if (value.length > most)
    throw new FormatError(`${where}: has ${value.length} entries, expected at most ${most}`);
  return value.map((entry) => {
    const integer = entry instanceof JsonNumber ? entry.integer : null;
    if (integer === null || integer < 0) {
      throw new FormatError(
        `${where}: holds ${entry instanceof JsonNumber ? entry.text : JSON.stringify(entry)}, expected integers from 0 to 2^53 - 1`,
      );
    }
    return integer;
  });
}

/** Tensors must follow each other from 0 to the end of the data, with no gap and no overlap. */
function checkLayout(where: string, tensors: ReadonlyMap<string, TensorInfo>, dataLength: number): void {
  const inOrder = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let at = 0;
  for (const [name, { begin, end }] of inOrder) {
    if (begin !== at)
      throw new FormatError(
        `${where}: tensor '${name}' begins at byte ${begin}, expected ${at}: no gap and no overlap`,
      );
    at = end;
  }
  if (at !== dataLength) {
    const why = at > dataLength ? '; the file is cut short' : '; bytes follow the last tensor';
    throw new FormatError(`${where}: the data has ${dataLength} bytes, expected ${at}${why}`);
  }
}

/** What a header tells of the tensors: common to files in memory and files read by range. */
export abstract class SafetensorsIndex {
  readonly metadata: ReadonlyMap<string, string>;
  readonly #tensors: ReadonlyMap<string, TensorInfo>;

  readonly #where: string | null;

  /** @internal */
  constructor(where: string | null, header: Header) {
    if (!(header?.tensors instanceof Map))
      throw new TypeError(
        `${new.target.name}: is made by parseSafetensors or openSafetensors, expected no call`,
      );
    this.#where = where;
    this.#tensors = header.tensors;
    this.metadata = header.metadata;
  }

  /** The class, as errors of its methods name it. @internal */
  protected abstract get kind(): string;

  /** A tensor's place, for a method: errors begin with the method, or with the function that reads the file. @internal */
  protected find(method: string, name: string): { where: string; info: TensorInfo } {
    const where = this.#where ?? `${this.kind}.${method}`;
    checkText(`${where}: name`, name);
    const info = this.#tensors.get(name);
    if (info === undefined)
      throw new FormatError(`${where}: there is no tensor '${name}', expected one of ${listed(this.names)}`);
    return { where, info };
  }

  /** Names in the order of the header. */
  get names(): string[] {
    return [...this.#tensors.keys()];
  }

  /** Whether there is a tensor of that name. */
  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  /** dtype, shape and place. @throws TypeError; FormatError when there is no such tensor */
  info(name: string): TensorInfo {
    return this.find('info', name).info;
  }
}

/** A safetensors file in memory. Everything it hands out is a copy. */
export class SafetensorsFile extends SafetensorsIndex {
  readonly #bytes: Uint8Array;
  readonly #dataStart: number;

  /** @internal Use `parseSafetensors`. */
  constructor(where: string | null, bytes: Uint8Array, header: Header) {
    super(where, header);
    this.#bytes = bytes;
    this.#dataStart = header.dataStart;
  }

  protected override get kind(): string {
    return 'SafetensorsFile';
  }

  #copy({ begin, end }: TensorInfo): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#bytes.subarray(this.#dataStart + begin, this.#dataStart + end));
  }

  /** The tensor's bytes, copied. @throws FormatError when there is no such tensor */
  bytes(name: string): Uint8Array<ArrayBuffer> {
    return this.#copy(this.find('bytes', name).info);
  }

  /** The values in the dtype's own array (F16 and BF16 as float32), whatever the alignment in the file. @throws FormatError */
  array(name: string): TypedArray {
    const { where, info } = this.find('array', name);
    return decode(where, name, info.dtype, this.#copy(info));
  }

  /** The values as float32; for floating-point dtypes. @throws FormatError */
  f32(name: string): Float32Array {
    const { where, info } = this.find('f32', name);
    return toFloat32(where, name, info.dtype, decode(where, name, info.dtype, this.#copy(info)));
  }
}

/** Reads a whole file from its bytes. @throws FormatError for everything that the format does not allow; TypeError */
export function parseSafetensors(source: Uint8Array | ArrayBuffer): SafetensorsFile {
  return fileOf('parseSafetensors', source, null);
}

/** The same for a function of another name, which errors begin with, also later ones. */
export function readSafetensors(where: string, source: Uint8Array | ArrayBuffer): SafetensorsFile {
  return fileOf(where, source, where);
}

function fileOf(where: string, source: Uint8Array | ArrayBuffer, later: string | null): SafetensorsFile {
  const bytes = bytesOf(`${where}: source`, source);
  const length = headerLength(where, bytes.subarray(0, 8), bytes.length);
  return new SafetensorsFile(later, bytes, parseHeader(where, bytes.subarray(8, 8 + length), bytes.length));
}
