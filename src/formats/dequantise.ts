/** float32 values of the weights in GGUF files, by their type. Called by the readers of GGUF, by loaders of models, and by users. */

import { describe } from '../values/checks.js';
import type { BlockDType } from '../values/dtypes.js';
import { FormatError } from '../values/format-error.js';
import { decodeHalves, isHalf } from '../values/halves.js';
import type { BlockReader } from './blocks-of-32.js';
import * as small from './blocks-of-32.js';
import * as large from './blocks-of-256.js';
import { bytesOf } from './check.js';
import { type GgufDType, isReadable, READABLE, READABLE_NAMES } from './ggml-types.js';

const READERS: Readonly<Record<BlockDType, BlockReader>> = { ...small, ...large };

/**
 * Values of a weight's bytes as they lie in a GGUF file, with the bits of ggml's reference. Infinities and NaN in a block's
 * scales pass through.
 * @param type - ggml's name of the type: `'f32'`, `'f16'`, `'bf16'`, `'q8_0'`, `'q4_K'` and so on
 * @param bytes - whole blocks
 * @returns as many values as the blocks have
 * @throws TypeError for an unknown type or no bytes; FormatError unless the bytes are whole blocks
 * @example
 * dequantise('bf16', Uint8Array.of(0x80, 0x3f)); // [1]
 */
export function dequantise(type: GgufDType, bytes: Uint8Array | ArrayBuffer): Float32Array<ArrayBuffer> {
  return dequantiseAs('dequantise', type, bytes);
}

/** The same for a function of another name, which its errors begin with. */
export function dequantiseAs(
  where: string,
  type: string,
  from: Uint8Array | ArrayBuffer,
): Float32Array<ArrayBuffer> {
  if (typeof type !== 'string' || !isReadable(type))
    throw new TypeError(`${where}: type is ${describe(type)}, expected one of ${READABLE_NAMES}`);
  const bytes = bytesOf(`${where}: bytes`, from);
  const block = READABLE[type];
  if (bytes.length % block.bytes !== 0)
    throw new FormatError(
      `${where}: ${bytes.length} bytes of ${type}, expected whole blocks of ${block.bytes} bytes`,
    );
  const values = new Float32Array((bytes.length / block.bytes) * block.elements);
  if (type === 'f32') new Uint8Array(values.buffer).set(bytes);
  else if (isHalf(type)) decodeHalves(type, new Uint16Array(bytes.slice().buffer), values);
  else {
    const read = READERS[type];
    for (let from = 0, at = 0; from < bytes.length; from += block.bytes, at += block.elements)
      read(bytes, from, values, at);
  }
  return values;
}
