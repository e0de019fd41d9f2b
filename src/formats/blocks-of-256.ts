/**
 * The values of quantised blocks of 256 elements (the "K" types and iq4_xs): a block has one or two half floats and, packed in
 * a few bits, what scales each run of 16 or 32. Exact in f64 up to the one rounding when a value is stored, so that the bits are
 * those of float32 arithmetic: a scale times a half has 19 bits at most. Called by `dequantise`.
 */
import { type BlockReader, halfAt, IQ4_VALUES } from './blocks-of-32.js';

/** 16 bytes of scale and minimum for each run of 16, 2-bit numbers, d, dmin: d·s·q - dmin·m. */
export const q2_K: BlockReader = (bytes, block, out, at) => {
  const d = halfAt(bytes, block + 80);
  const least = halfAt(bytes, block + 82);
  for (let i = 0; i < 256; i++) {
    const both = bytes[block + (i >> 4)]!;
    // 128 elements share 32 bytes, a run of 32 of them one position of the four.
    const q = (bytes[block + 16 + ((i >> 7) << 5) + (i & 31)]! >> (((i >> 5) & 3) << 1)) & 3;
    out[at + i] = d * (both & 15) * q - least * (both >> 4);
  }
};

/** High bits of the numbers, 2-bit numbers, 6-bit scales for each run of 16, d: d·(s - 32)·(q - 4 where the high bit is 0). */
export const q3_K: BlockReader = (bytes, block, out, at) => {
  const d = halfAt(bytes, block + 108);
  const scales = block + 96;
  for (let i = 0; i < 256; i++) {
    const run = i >> 4;
    const low = (bytes[scales + (run & 7)]! >> ((run >> 3) << 2)) & 15;
    const high = (bytes[scales + 8 + (run & 3)]! >> ((run >> 2) << 1)) & 3;
    const two = (bytes[block + 32 + ((i >> 7) << 5) + (i & 31)]! >> (((i >> 5) & 3) << 1)) & 3;
    const third = (bytes[block + (i & 31)]! >> (i >> 5)) & 1;
    out[at + i] = d * ((low | (high << 4)) - 32) * (two - 4 + (third << 2));
  }
};

/** Of run j of 32, the 6-bit scale, or with `minimum` its minimum: the first four lie whole, the others in two parts. */
function sixBits(bytes: Uint8Array, at: number, j: number, minimum: 0 | 4): number {
  if (j < 4) return bytes[at + minimum + j]! & 63;
  const nibbles = bytes[at + 4 + j]!;
  return (minimum === 0 ? nibbles & 15 : nibbles >> 4) | ((bytes[at + minimum + j - 4]! >> 6) << 4);
}

/** Of element i of 256, the nibble: 64 elements share 32 bytes. */
function nibbleOf(bytes: Uint8Array, at: number, i: number): number {
  return (bytes[at + ((i >> 6) << 5) + (i & 31)]! >> (((i >> 5) & 1) << 2)) & 15;
}

/** d, dmin, 6-bit scales and minima for each run of 32, a fifth bit of every number where there is one, nibbles: d·s·q - dmin·m. */
const runsOf32 =
  (withFifth: boolean): BlockReader =>
  (bytes, block, out, at) => {
    const d = halfAt(bytes, block);
    const least = halfAt(bytes, block + 2);
    const nibbles = block + (withFifth ? 48 : 16);
    for (let j = 0; j < 8; j++) {
      const scale = d * sixBits(bytes, block + 4, j, 0);
      const minimum = least * sixBits(bytes, block + 4, j, 4);
      for (let i = j * 32; i < j * 32 + 32; i++) {
        const fifth = withFifth ? ((bytes[block + 16 + (i & 31)]! >> j) & 1) << 4 : 0;
        out[at + i] = scale * (nibbleOf(bytes, nibbles, i) | fifth) - minimum;
      }
    }
  };

export const q4_K = runsOf32(false);
export const q5_K = runsOf32(true);

/** Low nibbles, high pairs of bits, signed scales for each run of 16, d: d·s·(q - 32). */
export const q6_K: BlockReader = (bytes, block, out, at) => {
  const d = halfAt(bytes, block + 208);
  for (let i = 0; i < 256; i++) {
    const scale = d * ((bytes[block + 192 + (i >> 4)]! << 24) >> 24);
    // 128 elements share 64 bytes of nibbles and 32 bytes of pairs.
    const low = (bytes[block + ((i >> 7) << 6) + (i & 63)]! >> (((i >> 6) & 1) << 2)) & 15;
    const high = (bytes[block + 128 + ((i >> 7) << 5) + (i & 31)]! >> (((i >> 5) & 3) << 1)) & 3;
    out[at + i] = scale * ((low | (high << 4)) - 32);
  }
};

/** d, high and low bits of 6-bit scales for each run of 32, nibbles that choose from a table: d·(s - 32)·value. */
export const iq4_xs: BlockReader = (bytes, block, out, at) => {
  const d = halfAt(bytes, block);
  for (let j = 0; j < 8; j++) {
    const low = (bytes[block + 4 + (j >> 1)]! >> ((j & 1) << 2)) & 15;
    const high = (bytes[block + 2 + (j >> 2)]! >> ((j & 3) << 1)) & 3;
    const scale = d * ((low | (high << 4)) - 32);
    for (let i = 0; i < 16; i++) {
      const pair = bytes[block + 8 + j * 16 + i]!;
      out[at + j * 32 + i] = scale * IQ4_VALUES[pair & 15]!;
      out[at + j * 32 + 16 + i] = scale * IQ4_VALUES[pair >> 4]!;
    }
  }
};
