/** Quantisation of float32 values to GGUF's q8_0 and q4_0, with the bits of the `gguf` package. Called by loaders of models, by merging and by users. */

import { describe } from '../values/checks.js';
import { DTYPE_INFO } from '../values/dtypes.js';
import { FormatError } from '../values/format-error.js';
import { encodeHalves } from '../values/halves.js';
import { typedArrayLength, typedArrayName } from '../values/kind.js';
import { wrongType } from './check.js';

/** The types that values are quantised to. */
export type QuantiseDType = 'q8_0' | 'q4_0';

const { fround } = Math;
/** Half of the step past the largest half: from there on a scale would be infinite. */
const SCALE_LIMIT = 65520;

/**
 * Bytes of a weight in GGUF's blocks of 32: a half float d, then 32 numbers q, each value becoming d·q (q8_0) or d·(q - 8)
 * (q4_0). Every product and quotient is rounded to float32, as the reference has it.
 * @param type - `'q8_0'` (34 bytes a block) or `'q4_0'` (18)
 * @param values - whole blocks of 32; rows that are no multiple of 32 cannot be quantised
 * @throws TypeError for the wrong kind; RangeError where a value is not finite or larger than the type can hold; FormatError
 * unless the values are whole blocks
 * @example
 * quantise('q8_0', new Float32Array(64)).length; // 68
 */
export function quantise(type: QuantiseDType, values: Float32Array): Uint8Array<ArrayBuffer> {
  if (type !== 'q8_0' && type !== 'q4_0')
    throw new TypeError(`quantise: type is ${describe(type)}, expected 'q8_0' or 'q4_0'`);
  if (!ArrayBuffer.isView(values) || typedArrayName(values) !== 'Float32Array')
    throw wrongType('quantise: values', values, 'a Float32Array');
  const length = typedArrayLength(values);
  if (length % 32 !== 0)
    throw new FormatError(`quantise: ${length} values for ${type}, expected whole blocks of 32`);
  const { bytes } = DTYPE_INFO[type];
  const out = new Uint8Array((length / 32) * bytes);
  const write = type === 'q8_0' ? writeEight : writeFour;
  const scale = new Uint16Array(1);
  for (let from = 0, at = 0; from < length; from += 32, at += bytes) {
    encodeHalves('f16', Float32Array.of(write(values, from, out, at + 2)), scale);
    out[at] = scale[0]! & 255;
    out[at + 1] = scale[0]! >> 8;
  }
  return out;
}

/** The value of largest magnitude among 32, the first of equals. @throws RangeError */
function largest(values: Float32Array, from: number, divisor: number): number {
  let most = 0;
  for (let i = from; i < from + 32; i++) {
    const value = values[i]!;
    if (!(Math.abs(value) / divisor < SCALE_LIMIT))
      throw new RangeError(
        `quantise: value ${i} is ${value}, expected a finite one below ${SCALE_LIMIT * divisor}`,
      );
    if (Math.abs(value) > Math.abs(most)) most = value;
  }
  return most;
}

/** 1/d in float32. Below float32's normal numbers it may be infinite; the half is then 0 and the numbers stand for nothing. */
function inverse(d: number): number {
  const id = d === 0 ? 0 : fround(1 / d);
  return Number.isFinite(id) ? id : 0;
}

/** Numbers of q8_0, rounded to the nearest, halves away from zero; gives the scale. */
function writeEight(values: Float32Array, from: number, out: Uint8Array, at: number): number {
  const d = fround(Math.abs(largest(values, from, 127)) / 127);
  const id = inverse(d);
  for (let i = 0; i < 32; i++) {
    const x = fround(values[from + i]! * id);
    const size = Math.floor(Math.abs(x) + 0.5);
    out[at + i] = x < 0 ? -size : size;
  }
  return d;
}

/** Numbers of q4_0: the value of largest magnitude becomes 0, which stands for -8; gives the scale. */
function writeFour(values: Float32Array, from: number, out: Uint8Array, at: number): number {
  const d = fround(largest(values, from, 8) / -8);
  const id = inverse(d);
  const number = (i: number): number =>
    Math.min(15, Math.trunc(fround(fround(values[from + i]! * id) + 8.5)));
  for (let i = 0; i < 16; i++) out[at + i] = number(i) | (number(i + 16) << 4);
  return d;
}
