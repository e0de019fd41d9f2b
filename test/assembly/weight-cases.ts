/** The types of weights under test: how values are written in one, and what its bytes mean, from the definition of the type. */
import type { WeightDType } from '../../src/values/dtypes.js';

export interface WeightCase {
  readonly dtype: WeightDType;
  /** Bytes of values, rounded in some way to the type. */
  readonly encode: (values: Float32Array) => Uint8Array;
  /** What bytes mean. */
  readonly decode: (bytes: Uint8Array) => Float32Array;
  /** Bytes that hold every value of the type. */
  readonly everything: () => Uint8Array;
}

/** All numbers of 16 bits. */
const everyWord = (): Uint8Array => new Uint8Array(Uint16Array.from({ length: 65536 }, (_, i) => i).buffer);

const words = (bytes: Uint8Array): Uint16Array => new Uint16Array(bytes.slice().buffer);

/** IEEE 754 binary16, by its definition. */
function halfOf(word: number): number {
  const sign = word & 0x8000 ? -1 : 1;
  const [power, fraction] = [(word >> 10) & 31, word & 1023];
  if (power === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return power === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (power - 25);
}

/** The half next to zero from a value, of its sign: any rounding serves. */
function towardsZero(value: number): number {
  const size = Math.abs(value);
  const power = Math.max(-14, Math.floor(Math.log2(size || 2 ** -20)));
  const fraction = Math.floor(size * 2 ** (10 - power));
  const bits = fraction < 1024 ? fraction : ((power + 15) << 10) | (fraction - 1024);
  return (value < 0 ? 0x8000 : 0) | bits;
}

export const WEIGHTS: WeightCase[] = [
  {
    dtype: 'f16',
    encode: (values) => new Uint8Array(Uint16Array.from(values, towardsZero).buffer),
    decode: (bytes) => Float32Array.from(words(bytes), halfOf),
    everything: everyWord,
  },
  {
    dtype: 'bf16',
    encode: (values) =>
      new Uint8Array(Uint16Array.from(new Uint32Array(values.slice().buffer), (bits) => bits >>> 16).buffer),
    decode: (bytes) => new Float32Array(Uint32Array.from(words(bytes), (word) => word << 16).buffer),
    everything: everyWord,
  },
];
