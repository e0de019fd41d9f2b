/**
 * Reading the golden folder: JSON, and safetensors by a reader of its own, so that a fault in the package's reader cannot
 * hide itself. Everything throws where a file or a tensor is missing.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A tensor of a golden file; 64-bit integers come as plain numbers. */
export interface GoldenTensor {
  readonly dtype: 'F32' | 'I64' | 'U8';
  readonly shape: readonly number[];
  readonly data: Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;
}

export type GoldenFile = ReadonlyMap<string, GoldenTensor>;

const asked = process.env.GOLDEN_DIR;
const FOLDER =
  asked === undefined || asked === '' ? fileURLToPath(new URL('../golden', import.meta.url)) : resolve(asked);

/** Where a file of the golden folder lies. */
export function goldenPath(path: string): string {
  return resolve(FOLDER, path);
}

/** Bytes of a file of the golden folder. */
export function goldenBytes(path: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(goldenPath(path)));
}

/** A JSON file of the golden folder; the caller names its form. */
export function goldenJson<T>(path: string): T {
  return JSON.parse(new TextDecoder().decode(goldenBytes(path))) as T;
}

/** A safetensors file of the golden folder. */
export function goldenTensors(path: string): GoldenFile {
  return readSafetensors(goldenBytes(path), path);
}

interface HeaderEntry {
  readonly dtype: string;
  readonly shape: number[];
  readonly data_offsets: [number, number];
}

/** The layout: u64 length of the header, the header in JSON, then the bytes that its offsets point into. */
export function readSafetensors(bytes: Uint8Array<ArrayBuffer>, name: string): GoldenFile {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header: Record<string, HeaderEntry> = JSON.parse(
    new TextDecoder().decode(bytes.subarray(8, 8 + length)),
  );
  const tensors = new Map<string, GoldenTensor>();
  for (const [key, { dtype, shape, data_offsets: offsets }] of Object.entries(header)) {
    if (key === '__metadata__') continue;
    const buffer = bytes.slice(8 + length + offsets[0], 8 + length + offsets[1]).buffer;
    if (dtype === 'F32') tensors.set(key, { dtype, shape, data: new Float32Array(buffer) });
    else if (dtype === 'U8') tensors.set(key, { dtype, shape, data: new Uint8Array(buffer) });
    else if (dtype === 'I64') {
      tensors.set(key, { dtype, shape, data: Int32Array.from(new BigInt64Array(buffer), Number) });
    } else throw new Error(`${name}: ${key} is ${dtype}, expected F32, I64 or U8`);
  }
  return tensors;
}

/** @throws Error when the file has no such tensor */
export function pick(file: GoldenFile, key: string): GoldenTensor {
  const tensor = file.get(key);
  if (tensor === undefined) throw new Error(`${key} is missing; the file has ${[...file.keys()].join(', ')}`);
  return tensor;
}

/** The tensors whose names start with `prefix`, without it. @throws Error when there is none */
export function group(file: GoldenFile, prefix: string): Map<string, GoldenTensor> {
  const found = [...file].filter(([key]) => key.startsWith(prefix));
  if (found.length === 0)
    throw new Error(`no tensor starts with ${prefix}; the file has ${[...file.keys()].join(', ')}`);
  return new Map(found.map(([key, tensor]) => [key.slice(prefix.length), tensor]));
}
