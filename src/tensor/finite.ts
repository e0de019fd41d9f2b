/**
 * Whether a tensor holds infinities or NaN: what loaders of weights and safe merges ask. Of quantised blocks the scales and
 * minima are looked at, by which everything in a block is multiplied.
 */
import { DTYPE_INFO, isQuantised, type QuantisedDType } from '../values/dtypes.js';
import { finiteHalves, isHalf } from '../values/halves.js';
import { wordsOf } from './content.js';
import type { Tensor } from './tensor.js';

/** Whether no element is infinite or NaN; of floating-point dtypes. */
export function allFinite(tensor: Tensor): boolean {
  const { dtype, runtime, size, pointer } = tensor;
  if (isQuantised(dtype)) return nonFiniteBlock(tensor) === -1;
  if (isHalf(dtype)) return finiteHalves(dtype, wordsOf(tensor) as Uint16Array);
  return runtime.engine.kernels.allFinite(size, pointer) === 1;
}

/** Bytes of a block at which a scale or minimum begins, each a half-precision number. */
const SCALES: Readonly<Record<QuantisedDType, readonly number[]>> = {
  ...{ q8_0: [0], q4_0: [0], q5_0: [0], q6_K: [208] },
  ...{ q4_1: [0, 2], q5_1: [0, 2], q4_K: [0, 2], q5_K: [0, 2] },
};

/** The first block of a quantised tensor whose scale or minimum is infinite or NaN, counted over all rows; -1 where none is. */
export function nonFiniteBlock(tensor: Tensor): number {
  const { dtype } = tensor;
  if (!isQuantised(dtype)) return -1;
  const { bytes } = DTYPE_INFO[dtype];
  const words = wordsOf(tensor);
  for (let block = 0; block < words.length; block += bytes)
    // The exponent of a half is all ones in infinities and NaN; its upper byte comes second.
    for (const at of SCALES[dtype]) if ((words[block + at + 1]! & 0x7c) === 0x7c) return block / bytes;
  return -1;
}
