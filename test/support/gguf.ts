/** GGUF files by hand, also ones that no writer makes: any metadata, and tensors wherever they are told to lie. */
import { formatGgufHeader } from '../../src/formats/gguf-header.js';

export interface HandTensor {
  /** Sizes as GGUF has them, the fastest first. */
  readonly sizes: readonly number[];
  readonly type: number;
  readonly offset: number;
}

/** @param data - bytes of data behind the header, all zero unless given */
export function ggufBytes({
  metadata,
  tensors,
  data,
}: {
  readonly metadata: Readonly<Record<string, string | number>>;
  readonly tensors: Readonly<Record<string, HandTensor>>;
  readonly data: number | Uint8Array;
}): Uint8Array<ArrayBuffer> {
  const header = formatGgufHeader(
    Object.entries(metadata),
    Object.entries(tensors).map(([name, { sizes, type, offset }]) => ({
      name,
      sizes: sizes.map(BigInt),
      type,
      offset: BigInt(offset),
    })),
  );
  const content = typeof data === 'number' ? new Uint8Array(data) : data;
  const start = Math.ceil(header.length / 32) * 32;
  const bytes = new Uint8Array(start + content.length);
  bytes.set(header);
  bytes.set(content, start);
  return bytes;
}
