/** Weights in GGUF's blocks for tests above the kernels: random bytes with ordinary scales, and the values that they stand for. */
import { dequantise } from '../../src/formats/index.js';
import type { Parameter, Runtime } from '../../src/index.js';
import { DTYPE_INFO, type QuantisedDType } from '../../src/values/dtypes.js';
import { nearest } from './halves.js';
import { real } from './numbers.js';
import { once } from './once.js';

export const QUANTISED: readonly QuantisedDType[] = [
  ...(['q8_0', 'q4_0', 'q4_1', 'q5_0', 'q5_1'] as const),
  ...(['q4_K', 'q5_K', 'q6_K'] as const),
];

/** Where the scales and minima of a block lie. */
const HALVES: Readonly<Record<QuantisedDType, readonly number[]>> = {
  ...{ q8_0: [0], q4_0: [0], q4_1: [0, 2], q5_0: [0], q5_1: [0, 2] },
  ...{ q4_K: [0, 2], q5_K: [0, 2], q6_K: [208] },
};

/** Bytes of `count` elements whose values are about as large as those of a trained weight. */
export const blockBytes = once((index: number, count: number, seed: number): Uint8Array<ArrayBuffer> => {
  const type = QUANTISED[index]!;
  const { elements, bytes } = DTYPE_INFO[type];
  const blocks = count / elements;
  const words = real(blocks * bytes, seed, 1);
  const data = Uint8Array.from(words, (v) => Math.floor(Math.abs(v) * 1e6) & 255);
  const scales = real(2 * blocks, seed + 1, 1);
  for (let block = 0; block < blocks; block++)
    HALVES[type].forEach((offset, i) => {
      const half = nearest('f16', scales[2 * block + i]! * (elements === 32 ? 0.02 : 0.0005));
      data.set([half & 255, half >> 8], block * bytes + offset);
    });
  return data;
});

/** A quantised parameter, filled. */
export function quantised(rt: Runtime, dtype: QuantisedDType, shape: readonly number[], seed = 5): Parameter {
  const count = shape.reduce((n, dim) => n * dim, 1);
  return rt.parameter(null, shape, { dtype }).writeBytes(blockBytes(QUANTISED.indexOf(dtype), count, seed));
}

/** What it stands for. */
export function expandedValues(parameter: Parameter): Float32Array<ArrayBuffer> {
  return dequantise(parameter.dtype as QuantisedDType, parameter.bytes());
}
