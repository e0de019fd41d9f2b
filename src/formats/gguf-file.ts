/** The GGUF container: where tensors lie, checked against the size of the file, their values, and writing a file. */

import { FormatError } from '../values/format-error.js';
import { checkText } from './check.js';
import { dequantiseAs } from './dequantise.js';
import { ggmlType, isReadable, READABLE, READABLE_NAMES } from './ggml-types.js';
import { formatGgufHeader, readGgufHeader } from './gguf-header.js';
import type { LoraArray } from './lora-file.js';
import { type ByteSource, openSource, type RandomAccess } from './source.js';

/** One tensor's place; the shape is row-major, the reverse of GGUF's. */
export interface GgufTensor {
  readonly shape: readonly number[];
  /** ggml's number of the type. */
  readonly type: number;
  /** ggml's name of it: `'f32'`, `'q4_1'`. */
  readonly dtype: string;
  readonly begin: number;
  readonly end: number;
}

/** A GGUF file that was read: its metadata and its tensors. */
export interface GgufFile {
  readonly metadata: ReadonlyMap<string, unknown>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

const ALIGNMENT = 32;

/**
 * Reads metadata and the list of tensors.
 * @param where - what errors name, such as the file's path
 * @throws FormatError, TypeError; errors of the source
 */
export async function openGguf(where: string, source: ByteSource): Promise<GgufFile> {
  checkText('openGguf: where', where);
  return openGgufAs(`openGguf: ${where}`, source);
}

/** The same for a function of another name, which its errors begin with. */
export async function openGgufAs(where: string, source: ByteSource): Promise<GgufFile> {
  const opened = await openSource(where, source);
  const { metadata, entries, length } = await readGgufHeader(where, opened);
  const alignment = metadata.get('general.alignment') ?? ALIGNMENT;
  if (typeof alignment !== 'number' || !Number.isInteger(alignment) || alignment < 8 || alignment % 8 !== 0)
    throw new FormatError(`${where}: general.alignment is ${String(alignment)}, expected a multiple of 8`);
  const dataStart = Math.ceil(length / alignment) * alignment;
  const tensors = new Map<string, GgufTensor>();
  for (const { name, sizes, type, offset } of entries) {
    if (tensors.has(name))
      throw new FormatError(`${where}: tensor '${name}' appears twice, expected it once`);
    if (offset % BigInt(alignment) !== 0n)
      throw new FormatError(
        `${where}: tensor '${name}' begins at ${offset}, expected a multiple of ${alignment}`,
      );
    const shape = sizes.map(Number).reverse();
    const begin = dataStart + Number(offset);
    const block = ggmlType(type);
    if (block === null)
      throw new FormatError(
        `${where}: tensor '${name}' is of ggml's type ${type}, expected one that is known, such as ${READABLE_NAMES}`,
      );
    const { name: dtype, elements, bytes } = block;
    const end = begin + (shape.reduce((product, size) => product * size, 1) / elements) * bytes;
    if (!Number.isSafeInteger(end) || (shape.at(-1) ?? 1) % elements !== 0)
      throw new FormatError(
        `${where}: tensor '${name}' is [${shape.join(', ')}] of ${dtype}, expected rows of whole blocks of ${elements}`,
      );
    if (end > opened.size)
      throw new FormatError(
        `${where}: tensor '${name}' ends at byte ${end}, the file has ${opened.size}; it is cut short`,
      );
    tensors.set(name, { shape, type, dtype, begin, end });
  }
  checkNoOverlap(where, tensors);
  return { metadata, tensors };
}

/** A small file whose tensors all name the same bytes would come to more than memory holds. @throws FormatError */
function checkNoOverlap(where: string, tensors: ReadonlyMap<string, GgufTensor>): void {
  const inOrder = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let last: readonly [string, GgufTensor] | null = null;
  for (const entry of inOrder) {
    const [name, { begin }] = entry;
    if (last !== null && begin < last[1].end)
      throw new FormatError(
        `${where}: tensor '${name}' begins at byte ${begin}, inside of '${last[0]}', which ends at ${last[1].end}; expected no overlap`,
      );
    last = entry;
  }
}

/** A tensor's values as float32. @throws FormatError for a type that is not read */
export async function ggufValues(where: string, source: RandomAccess, name: string, tensor: GgufTensor) {
  const { dtype, begin, end, shape } = tensor;
  if (!isReadable(dtype))
    throw new FormatError(`${where}: tensor '${name}' is ${dtype}, expected one of ${READABLE_NAMES}`);
  const data = dequantiseAs(`${where}: tensor '${name}'`, dtype, await source.read(begin, end));
  return { shape, data };
}

/** The bytes of a GGUF file of float32 tensors, aligned to 32. */
export function formatGguf(
  metadata: Iterable<readonly [string, string | number]>,
  tensors: readonly (readonly [string, LoraArray])[],
): Uint8Array<ArrayBuffer> {
  const pad = (size: number): number => Math.ceil(size / ALIGNMENT) * ALIGNMENT;
  let size = 0;
  const entries = tensors.map(([name, { shape, data }]) => {
    const offset = BigInt(size);
    size += pad(data.byteLength);
    return { name, sizes: shape.toReversed().map(BigInt), type: READABLE.f32.code, offset };
  });
  const header = formatGgufHeader(metadata, entries);
  const start = pad(header.length);
  const file = new Uint8Array(start + size);
  file.set(header);
  tensors.forEach(([, { data }], i) => {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    file.set(bytes, start + Number(entries[i]!.offset));
  });
  return file;
}
