/** Safetensors in shards, written tensor by tensor: no more than one is in JavaScript. `command.ts` calls it. */
import { type FileHandle, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { yieldToEvents } from '../../engine/yield.js';
import { safetensorsHeader } from '../../formats/safetensors-write.js';
import { replacing } from '../../node/durable.js';
import { writeAtomic } from '../../node.js';
import { bytesOf } from '../../values/dtypes.js';
import { FormatError } from '../../values/format-error.js';
import { encodeHalves } from '../../values/halves.js';

/** The types that a folder may have. */
export type MergeType = 'f32' | 'f16' | 'bf16';

/** A tensor to be written. */
export interface MergedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** Makes its values. */
  values(): Float32Array;
}

/** The exponent of infinity and NaN. */
const EXPONENT = { f16: 0x7c00, bf16: 0x7f80 } as const;
const NAMES = { f32: 'F32', f16: 'F16', bf16: 'BF16' } as const;

/**
 * Writes them in their order.
 * @param limit - bytes of a shard, where it has more than one tensor
 * @returns names of the files
 * @throws FormatError for values that are not finite in the type; the signal's reason; file system errors
 */
export async function writeShards(
  folder: string,
  dtype: MergeType,
  limit: number,
  tensors: readonly MergedTensor[],
  signal: AbortSignal,
): Promise<string[]> {
  const shards: MergedTensor[][] = [];
  let filled = Number.POSITIVE_INFINITY;
  for (const tensor of tensors) {
    const bytes = bytesOf(tensor.shape, dtype);
    if (filled + bytes > limit) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1)!.push(tensor);
    filled += bytes;
  }
  const places = new Map<string, string>();
  const names: string[] = [];
  for (const [i, shard] of shards.entries()) {
    const five = (n: number): string => String(n).padStart(5, '0');
    const name =
      shards.length === 1
        ? 'model.safetensors'
        : `model-${five(i + 1)}-of-${five(shards.length)}.safetensors`;
    await writeShard(join(folder, name), dtype, shard, signal);
    for (const tensor of shard) places.set(tensor.name, name);
    names.push(name);
  }
  if (shards.length === 1) return names;
  const total = tensors.reduce((sum, tensor) => sum + bytesOf(tensor.shape, dtype), 0);
  const index = { metadata: { total_size: total }, weight_map: Object.fromEntries([...places].sort()) };
  const name = 'model.safetensors.index.json';
  await writeAtomic(join(folder, name), new TextEncoder().encode(`${JSON.stringify(index, null, 2)}\n`));
  return [...names, name];
}

async function writeShard(
  path: string,
  dtype: MergeType,
  tensors: readonly MergedTensor[],
  signal: AbortSignal,
): Promise<void> {
  const temporary = `${path}.tmp`;
  await replacing(temporary, path, dirname(path), async () => {
    const handle = await open(temporary, 'w');
    try {
      await write(handle, headerOf(dtype, tensors));
      for (const tensor of tensors) {
        await yieldToEvents();
        signal.throwIfAborted();
        await write(handle, encoded(tensor, dtype));
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
  });
}

async function write(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at)).bytesWritten;
}

function headerOf(dtype: MergeType, tensors: readonly MergedTensor[]): Uint8Array {
  return safetensorsHeader(
    { format: 'pt' },
    tensors.map(({ name, shape }) => ({ name, dtype: NAMES[dtype], shape, bytes: bytesOf(shape, dtype) })),
  );
}

/** @throws FormatError */
function encoded(tensor: MergedTensor, dtype: MergeType): Uint8Array {
  const values = tensor.values();
  const halves = new Uint16Array(dtype === 'f32' ? 0 : values.length);
  if (dtype !== 'f32') encodeHalves(dtype, values, halves);
  // Of what is rounded: a float32 may be finite, and too large for the type.
  const wrong =
    dtype === 'f32'
      ? values.findIndex((value) => !Number.isFinite(value))
      : halves.findIndex((bits) => (bits & EXPONENT[dtype]) === EXPONENT[dtype]);
  if (wrong >= 0)
    throw new FormatError(
      `'${tensor.name}': element ${wrong} is ${values[wrong]}, expected finite numbers of ${dtype}`,
    );
  if (dtype === 'f32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return new Uint8Array(halves.buffer);
}
