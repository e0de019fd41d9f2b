/**
 * The values of quantised blocks of 32 elements, as ggml defines them: in the first half of a block lie the low nibbles of its
 * bytes, in the second the high ones. Every product here is exact in f64 and rounded once when it is stored, and so is every
 * sum: the bits are those of float32 arithmetic. Called by `dequantise`.
 */
import { halfToFloat } from '../values/halves.js';

/** Writes the values of the block at `block` to `out` from `at` on. */
export type BlockReader = (bytes: Uint8Array, block: number, out: Float32Array, at: number) => void;

/** The half-precision number at a byte. */
export function halfAt(bytes: Uint8Array, at: number): number {
  return halfToFloat(bytes[at]! | (bytes[at + 1]! << 8));
}

/** d, then 32 signed bytes: d·q. */
export const q8_0: BlockReader = (bytes, block, out, at) => {
  const d = halfAt(bytes, block);
  for (let i = 0; i < 32; i++) out[at + i] = d * ((bytes[block + 2 + i]! << 24) >> 24);
};

/** d, then nibbles: d·(q - 8). */
export const q4_0: BlockReader = (bytes, block, out, at) => {
  const d = halfAt(bytes, block);
  for (let i = 0; i < 16; i++) {
    const pair = bytes[block + 2 + i]!;
    out[at + i] = d * ((pair & 15) - 8);
    out[at + 16 + i] = d * ((pair >> 4) - 8);
  }
};

/** d and m, then nibbles: d·q + m. */
export const q4_1: BlockReader = (bytes, block, out, at) => {
  const d = halfAt(bytes, block);
  const m = halfAt(bytes, block + 2);
  for (let i = 0; i < 16; i++) {
    const pair = bytes[block + 4 + i]!;
    out[at + i] = d * (pair & 15) + m;
    out[at + 16 + i] = d * (pair >> 4) + m;
  }
};

/** The fifth bit of element i, in place: bit i of the word at a byte. */
function fifth(bytes: Uint8Array, at: number, i: number): number {
  return ((bytes[at + (i >> 3)]! >> (i & 7)) & 1) << 4;
}

/** d, a word of fifth bits, nibbles: d·(q - 16). */
export const q5_0: BlockReader = (bytes, block, out, at) => {
  const d = halfAt(bytes, block);
  for (let i = 0; i < 16; i++) {
    const pair = bytes[block + 6 + i]!;
    out[at + i] = d * (((pair & 15) | fifth(bytes, block + 2, i)) - 16);
    out[at + 16 + i] = d * (((pair >> 4) | fifth(bytes, block + 2, 16 + i)) - 16);
  }
};

/** d and m, a word of fifth bits, nibbles: d·q + m. */
export const q5_1: BlockReader = (bytes, block, out, at) => {
  const d = halfAt(bytes, block);
  const m = halfAt(bytes, block + 2);
  for (let i = 0; i < 16; i++) {
    const pair = bytes[block + 8 + i]!;
    out[at + i] = d * ((pair & 15) | fifth(bytes, block + 4, i)) + m;
    out[at + 16 + i] = d * ((pair >> 4) | fifth(bytes, block + 4, 16 + i)) + m;
  }
};

/** What the nibbles of the types iq4 stand for. */
export const IQ4_VALUES = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113] as const;

/** d, then nibbles that choose from a table. */
export const iq4_nl: BlockReader = (bytes, block, out, at) => {
  const d = halfAt(bytes, block);
  for (let i = 0; i < 16; i++) {
    const pair = bytes[block + 2 + i]!;
    out[at + i] = d * IQ4_VALUES[pair & 15]!;
    out[at + 16 + i] = d * IQ4_VALUES[pair >> 4]!;
  }
};

/** Twice the values of four bits in the format E2M1, without the sign. */
const E2M1 = [0, 1, 2, 3, 4, 6, 8, 12] as const;

/** A power of two (half of what E8M0 says), then nibbles in E2M1. Minus zero comes out as zero, as ggml has it. */
export const mxfp4: BlockReader = (bytes, block, out, at) => {
  const d = 2 ** (bytes[block]! - 128);
  const value = (nibble: number): number => d * (nibble > 8 ? -E2M1[nibble & 7]! : E2M1[nibble & 7]!);
  for (let i = 0; i < 16; i++) {
    const pair = bytes[block + 1 + i]!;
    out[at + i] = value(pair & 15);
    out[at + 16 + i] = value(pair >> 4);
  }
};
