/** Random blocks of the quantised types that the kernels read, with every kind of scale, and the values that the formats give them. */
import { dequantise } from '../../src/formats/dequantise.js';
import { DTYPE_INFO } from '../../src/values/dtypes.js';
import { real } from '../support/numbers.js';
import { once } from '../support/once.js';

export const TYPES = ['q8_0', 'q4_0', 'q4_1', 'q5_0', 'q5_1', 'q4_K', 'q5_K', 'q6_K'] as const;
export type Type = (typeof TYPES)[number];

/** Where the halves of a block lie. */
const HALVES: Readonly<Record<Type, readonly number[]>> = {
  q8_0: [0],
  q4_0: [0],
  q4_1: [0, 2],
  q5_0: [0],
  q5_1: [0, 2],
  q4_K: [0, 2],
  q5_K: [0, 2],
  q6_K: [208],
};
/** Subnormal, smallest normal, zero of both signs, ordinary ones, large ones. */
const SCALES = [0x0001, 0x83ff, 0x0400, 0x0000, 0x8000, 0x2c66, 0xa8f1, 0x1234, 0x6bff, 0xebff];

/** Rows of random blocks, a whole block behind each row that is no part of it. */
export const blocksOf = once((index: number, rows: number, columns: number) => {
  const type = TYPES[index]!;
  const { elements, bytes } = DTYPE_INFO[type];
  const step = (columns / elements + 1) * bytes;
  const words = real(rows * step, 11 + index, 1);
  const data = Uint8Array.from(words, (v) => Math.floor(Math.abs(v) * 1e6) & 255);
  for (let at = 0, block = 0; at < data.length; at += bytes, block++)
    HALVES[type].forEach((offset, i) => {
      const half = SCALES[(block * 3 + i * 7) % SCALES.length]!;
      data.set([half & 255, half >> 8], at + offset);
    });
  const values = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++)
    values.set(
      dequantise(type, data.subarray(row * step, row * step + (columns / elements) * bytes)),
      row * columns,
    );
  return { data, step, values };
});
