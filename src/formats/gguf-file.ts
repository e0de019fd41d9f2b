/** The GGUF container: where tensors lie, checked against the size of the file, their values, and writing a file. */

import { FormatError } from '../values/format-error.js';
import { halfToFloat } from '../values/halves.js';
import { checkText } from './check.js';
import { decode, toFloat32 } from './dtypes.js';
import { formatGgufHeader, readGgufHeader } from './gguf-header.js';
import type { LoraArray } from './lora-file.js';
import { type ByteSource, openSource, type RandomAccess } from './source.js';

/** GGML's numbers of the types whose values are read. */
const Ggml = { F32: 0, F16: 1, Q8_0: 8, BF16: 30 } as const;

/** One tensor's place; the shape is row-major, the reverse of GGUF's. */
export interface GgufTensor {
  readonly shape: readonly number[];
  readonly type: number;
  readonly begin: number;
  readonly end: number;
}

/** A GGUF file that was read: its metadata and its tensors. */
export interface GgufFile {
  readonly metadata: ReadonlyMap<string, unknown>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

/** Elements and bytes of a block, of the types whose values are read. */
const BLOCKS = new Map<number, readonly [elements: number, bytes: number]>([
  [Ggml.F32, [1, 4]],
  [Ggml.F16, [1, 2]],
  [Ggml.BF16, [1, 2]],
  [Ggml.Q8_0, [32, 34]],
]);

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
    const [elements, bytes] = BLOCKS.get(type) ?? [1, 0];
    const end = begin + (shape.reduce((product, size) => product * size, 1) / elements) * bytes;
    if (!Number.isSafeInteger(end))
      throw new FormatError(`${where}: tensor '${name}' is [${shape.join(', ')}], expected whole blocks`);
    if (end > opened.size)
      throw new FormatError(
        `${where}: tensor '${name}' ends at byte ${end}, the file has ${opened.size}; it is cut short`,
      );
    tensors.set(name, { shape, type, begin, end });
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
  const { type, begin, end, shape } = tensor;
  if (!BLOCKS.has(type))
    throw new FormatError(
      `${where}: tensor '${name}' is of GGML's type ${type}, expected F32, F16, BF16 or Q8_0`,
    );
  const bytes = new Uint8Array(await source.read(begin, end));
  if (type === Ggml.Q8_0) return { shape, data: fromQ8(bytes) };
  const dtype = type === Ggml.F32 ? 'F32' : type === Ggml.F16 ? 'F16' : 'BF16';
  return { shape, data: toFloat32(where, name, dtype, decode(where, name, dtype, bytes)) };
}

/** Q8_0: blocks of a half float and 32 signed bytes. */
function fromQ8(bytes: Uint8Array<ArrayBuffer>): Float32Array {
  const view = new DataView(bytes.buffer);
  const values = new Float32Array((bytes.length / 34) * 32);
  for (let block = 0, at = 0; at < values.length; block += 34, at += 32) {
    const scale = halfToFloat(view.getUint16(block, true));
    for (let i = 0; i < 32; i++) values[at + i] = scale * view.getInt8(block + 2 + i);
  }
  return values;
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
    return { name, sizes: shape.toReversed().map(BigInt), type: Ggml.F32, offset };
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
