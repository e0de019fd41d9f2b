/**
 * The GGUF container: metadata and the list of tensors are read and written by @huggingface/gguf; what it leaves open, the
 * tensors' places and their values, is here. Everything is checked against the size of the file.
 */
import {
  buildGgufHeader,
  type GGUFTypedMetadata,
  GGMLQuantizationType as Ggml,
  gguf,
} from '@huggingface/gguf';
import { decode, halfToFloat } from './dtypes.js';
import { FormatError } from './errors.js';
import type { LoraArray } from './lora-file.js';
import type { RandomAccess } from './source.js';

/** One tensor's place; the shape is row-major, the reverse of GGUF's. */
export interface GgufTensor {
  readonly shape: readonly number[];
  readonly type: number;
  readonly begin: number;
  readonly end: number;
}

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

/** Reads metadata and the list of tensors; values later, by `ggufValues`. @throws FormatError */
export async function openGguf(where: string, source: RandomAccess): Promise<GgufFile> {
  const parsed = await parse(where, source);
  const { metadata, tensorInfos, tensorDataOffset, tensorInfoByteRange } = parsed;
  if (!parsed.littleEndian) throw new FormatError(`${where}: the file is big-endian, expected little-endian`);
  const [, infoEnd] = tensorInfoByteRange;
  if (infoEnd > source.size)
    throw new FormatError(
      `${where}: the header needs ${infoEnd} bytes, the file has ${source.size}; it is cut short`,
    );
  const values = new Map<string, unknown>(Object.entries(metadata));
  const alignment = BigInt(Number(values.get('general.alignment') ?? ALIGNMENT));
  const tensors = new Map<string, GgufTensor>();
  for (const { name, shape, dtype, offset } of tensorInfos) {
    if (tensors.has(name))
      throw new FormatError(`${where}: tensor '${name}' appears twice, expected it once`);
    if (offset % alignment !== 0n)
      throw new FormatError(
        `${where}: tensor '${name}' begins at ${offset}, expected a multiple of ${alignment}`,
      );
    const sizes = shape.map(Number).reverse();
    const begin = Number(tensorDataOffset + offset);
    const [elements, bytes] = BLOCKS.get(dtype) ?? [1, 0];
    const end = begin + (sizes.reduce((product, size) => product * size, 1) / elements) * bytes;
    if (!Number.isSafeInteger(end) || end > source.size)
      throw new FormatError(
        `${where}: tensor '${name}' ends at byte ${end}, the file has ${source.size}; it is cut short`,
      );
    tensors.set(name, { shape: sizes, type: dtype, begin, end });
  }
  return { metadata: values, tensors };
}

async function parse(where: string, source: RandomAccess) {
  // The library reads through `fetch`; this one answers from the source, and nothing goes over a network.
  const fromSource = async (_: unknown, init?: RequestInit): Promise<Response> => {
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(new Headers(init?.headers).get('range') ?? '') ?? [];
    const begin = Math.min(Number(from), source.size);
    const bytes = await source.read(begin, Math.min(Number(to) + 1, source.size));
    return new Response(Uint8Array.from(bytes));
  };
  try {
    return await gguf('https://source.invalid/file.gguf', { fetch: fromSource });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new FormatError(`${where}: ${why}; the file is no GGUF, or cut short`, { cause });
  }
}

/** A tensor's values as float32. @throws FormatError for a type that is not read */
export async function ggufValues(where: string, source: RandomAccess, name: string, tensor: GgufTensor) {
  const { type, begin, end, shape } = tensor;
  if (!BLOCKS.has(type))
    throw new FormatError(
      `${where}: tensor '${name}' is ${Ggml[type] ?? type}, expected F32, F16, BF16 or Q8_0`,
    );
  const bytes = Uint8Array.from(await source.read(begin, end));
  if (type === Ggml.Q8_0) return { shape, data: fromQ8(bytes) };
  const data = decode(name, type === Ggml.F32 ? 'F32' : type === Ggml.F16 ? 'F16' : 'BF16', bytes);
  return { shape, data: Float32Array.from(data, Number) };
}

/** Q8_0: blocks of a half float and 32 signed bytes. */
function fromQ8(bytes: Uint8Array<ArrayBuffer>): Float32Array {
  const view = new DataView(bytes.buffer);
  const values = new Float32Array((bytes.length / 34) * 32);
  for (let i = 0; i < values.length; i++) {
    const block = Math.floor(i / 32) * 34;
    values[i] = halfToFloat(view.getUint16(block, true)) * view.getInt8(block + 2 + (i % 32));
  }
  return values;
}

/** The bytes of a GGUF file of float32 tensors, aligned to 32. */
export async function formatGguf(
  metadata: Omit<GGUFTypedMetadata, 'version' | 'tensor_count' | 'kv_count'>,
  tensors: readonly (readonly [string, LoraArray])[],
): Promise<Uint8Array<ArrayBuffer>> {
  const pad = (size: number): number => Math.ceil(size / ALIGNMENT) * ALIGNMENT;
  const infos: Uint8Array<ArrayBuffer>[] = [];
  let offset = 0;
  for (const [name, { shape, data }] of tensors) {
    const text = new TextEncoder().encode(name);
    const info = new Uint8Array(8 + text.length + 4 + 8 * shape.length + 4 + 8);
    const view = new DataView(info.buffer);
    view.setBigUint64(0, BigInt(text.length), true);
    info.set(text, 8);
    let at = 8 + text.length;
    view.setUint32(at, shape.length, true);
    at += 4;
    for (const size of shape.toReversed()) {
      view.setBigUint64(at, BigInt(size), true);
      at += 8;
    }
    view.setUint32(at, Ggml.F32, true);
    view.setBigUint64(at + 4, BigInt(offset), true);
    infos.push(info);
    offset += pad(data.byteLength);
  }
  const list = new Blob(infos);
  const typed: GGUFTypedMetadata = {
    version: { value: 3, type: 4 },
    tensor_count: { value: BigInt(tensors.length), type: 10 },
    kv_count: { value: 0n, type: 10 },
    ...metadata,
  };
  const header = await buildGgufHeader(list, typed, {
    littleEndian: true,
    tensorInfoByteRange: [0, list.size],
  });
  const start = header.size;
  const file = new Uint8Array(start + offset);
  file.set(new Uint8Array(await header.arrayBuffer()));
  let at = start;
  for (const [, { data }] of tensors) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += pad(data.byteLength);
  }
  return file;
}
