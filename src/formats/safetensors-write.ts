/** Writing safetensors: widest dtype first, then by name, header padded with spaces, so that every tensor is aligned. */

import type { ShapedArray } from '../values/arrays.js';
import { checkOptions } from '../values/checks.js';
import { FormatError } from '../values/format-error.js';
import { checkFlags, checkObject, checkText, field, wrongType } from './check.js';
import { DTYPE_BITS, type Dtype, dtypeOf, isDtype, type TypedArray } from './dtypes.js';

/** A tensor to write. */
export type WritableTensor = ShapedArray<TypedArray>;

/** What `writeSafetensors` takes beside the tensors. */
export interface WriteOptions {
  /** Strings for `__metadata__`. Default `{ format: 'pt' }`, as PEFT and transformers write. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Write NaN and infinity. Default false: they are an error that names the tensor. */
  readonly allowNonFinite?: boolean;
}

/**
 * The bytes of a safetensors file.
 * @param tensors - by name: a Map (`module.stateDict()`), or pairs
 * @throws FormatError for a shape that does not fit, a name twice, or a value that is not finite
 */
export function writeSafetensors(
  tensors: Iterable<readonly [string, WritableTensor]>,
  options: WriteOptions = {},
): Uint8Array<ArrayBuffer> {
  checkOptions(WHERE, options, ['metadata', 'allowNonFinite']);
  const { metadata = { format: 'pt' }, allowNonFinite = false } = options;
  checkFlags(WHERE, { allowNonFinite });
  checkMetadata(metadata);
  const entries = pairs(tensors).map(([name, tensor]) => ({
    name,
    ...tensor,
    dtype: check(name, tensor, allowNonFinite),
  }));
  if (new Set(entries.map(({ name }) => name)).size !== entries.length)
    throw new FormatError('writeSafetensors: a name appears twice, expected each once');
  entries.sort(
    (a, b) => DTYPE_BITS[b.dtype] - DTYPE_BITS[a.dtype] || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  );
  const header = safetensorsHeader(
    metadata,
    entries.map(({ name, dtype, shape, data }) => ({ name, dtype, shape, bytes: data.byteLength })),
  );
  let at = header.length;
  const file = new Uint8Array(entries.reduce((end, { data }) => end + data.byteLength, at));
  file.set(header);
  for (const { data } of entries) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return file;
}

/** What stands before the tensors of a file that lie behind each other in this order: its length, and JSON padded to eight bytes. */
export function safetensorsHeader(
  metadata: Readonly<Record<string, string>>,
  tensors: readonly {
    readonly name: string;
    readonly dtype: Dtype;
    readonly shape: readonly number[];
    readonly bytes: number;
  }[],
): Uint8Array<ArrayBuffer> {
  let end = 0;
  const parts = [`"__metadata__":${JSON.stringify(metadata)}`];
  for (const { name, dtype, shape, bytes } of tensors) {
    const begin = end;
    end += bytes;
    parts.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`);
  }
  const json = new TextEncoder().encode(`{${parts.join(',')}}`);
  const padded = Math.ceil(json.length / 8) * 8;
  const header = new Uint8Array(8 + padded).fill(0x20, 8);
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true);
  header.set(json, 8);
  return header;
}

const WHERE = 'writeSafetensors';

function checkMetadata(metadata: unknown): void {
  checkObject(`${WHERE}: metadata`, metadata, 'an object of strings');
  for (const [key, value] of Object.entries(metadata)) checkText(`${WHERE}: metadata '${key}'`, value);
}

function firstNotFinite(data: TypedArray): number {
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(Number(data[i]))) return i;
  return -1;
}

/** @throws TypeError */
function pairs(tensors: unknown): (readonly [string, WritableTensor])[] {
  return entriesOf(tensors).map((pair: unknown, i) => {
    if (!Array.isArray(pair)) throw wrongType(`${WHERE}: tensors: entry ${i}`, pair, '[name, tensor]');
    const [name, tensor]: unknown[] = pair;
    checkText(`${WHERE}: tensors: name ${i}`, name);
    if (!isWritable(tensor))
      throw wrongType(`${WHERE}: tensor '${name}'`, tensor, 'a shape of integers with its data');
    return [name, tensor];
  });
}

/** @throws TypeError for what gives no entries, or fails in the middle */
function entriesOf(tensors: unknown): unknown[] {
  try {
    if (isIterable(tensors)) return [...tensors];
  } catch (cause) {
    throw new TypeError(`${WHERE}: tensors could not be gone through, expected a Map or pairs`, { cause });
  }
  throw wrongType(`${WHERE}: tensors`, tensors, 'a Map or pairs');
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value;
}

function isWritable(tensor: unknown): tensor is WritableTensor {
  if (typeof tensor !== 'object' || tensor === null) return false;
  const shape = field(tensor, 'shape');
  const dtype = field(tensor, 'dtype');
  return (
    Array.isArray(shape) &&
    shape.every((size) => Number.isSafeInteger(size) && size >= 0) &&
    (dtype === undefined || typeof dtype === 'string')
  );
}

function check(name: string, { shape, data, dtype }: WritableTensor, allowNonFinite: boolean): Dtype {
  const where = `writeSafetensors: tensor '${name}'`;
  if (name === '__metadata__') throw new FormatError(`${where}: the name is reserved, expected another`);
  if (!name.isWellFormed())
    throw new FormatError(`${where}: the name has a lone surrogate, expected whole characters`);
  const own = dtypeOf(where, data);
  const written = dtype ?? own;
  if (!isDtype(written) || DTYPE_BITS[written] !== DTYPE_BITS[own])
    throw new FormatError(`${where}: dtype is ${written}, expected ${own}`);
  const size = shape.reduce((product, dim) => product * dim, 1);
  if (size !== data.length)
    throw new FormatError(
      `${where}: data has ${data.length} elements, expected ${size} for [${shape.join(', ')}]`,
    );
  if (!allowNonFinite && (own === 'F32' || own === 'F64')) {
    const wrong = firstNotFinite(data);
    if (wrong >= 0)
      throw new FormatError(
        `${where}: element ${wrong} is ${data[wrong]}, expected finite values; allowNonFinite writes them`,
      );
  }
  return written;
}
