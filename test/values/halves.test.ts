/** Numbers of 16 bits: what bits mean, and rounding to the nearest, ties to even, against a search by the definition. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeHalves, encodeHalves, finiteHalves, roundHalf } from '../../src/values/halves.js';
import { floatOf, nearest } from '../support/halves.js';

const EVERY = Uint16Array.from({ length: 65536 }, (_, i) => i);

/** The bits that an array of numbers and one of float32 are rounded to. */
function encoded(dtype: 'f16' | 'bf16', values: ArrayLike<number>): Uint16Array {
  const bits = new Uint16Array(values.length);
  encodeHalves(dtype, values, bits);
  return bits;
}

describe.each(['f16', 'bf16'] as const)('%s', (dtype) => {
  test('every value decodes by the definition and encodes to its own bits', () => {
    const values = new Float32Array(65536);
    decodeHalves(dtype, EVERY, values);
    const numbers = [...values];
    const wrong = numbers.findIndex((value, bits) => !Object.is(value, floatOf(dtype, bits)));
    expect(wrong).toBe(-1);
    for (const again of [encoded(dtype, values), encoded(dtype, numbers)]) {
      const other = EVERY.findIndex((bits) =>
        Number.isNaN(numbers[bits]!) ? !Number.isNaN(floatOf(dtype, again[bits]!)) : again[bits] !== bits,
      );
      expect(other).toBe(-1);
    }
  });

  test('half-way between neighbours goes to even, and the smallest step beside it to the nearer', () => {
    const infinite = EVERY.findIndex((bits) => floatOf(dtype, bits) === Number.POSITIVE_INFINITY);
    for (let bits = 0; bits < infinite; bits += dtype === 'f16' ? 5 : 7) {
      const low = floatOf(dtype, bits);
      const step = bits + 1 < infinite ? floatOf(dtype, bits + 1) - low : low - floatOf(dtype, bits - 1);
      const middle = low + step / 2;
      for (const value of [middle, middle * (1 - 2 ** -52), middle * (1 + 2 ** -52), -middle]) {
        if (encoded(dtype, [value])[0] !== nearest(dtype, value))
          throw new Error(`${value}: ${encoded(dtype, [value])[0]}, expected ${nearest(dtype, value)}`);
      }
      expect(encoded(dtype, Float32Array.of(middle))[0]).toBe(nearest(dtype, Math.fround(middle)));
    }
  });

  test('any number rounds to the nearest', () => {
    const some = fc.oneof(fc.double({ noNaN: true }), fc.double({ noNaN: true, min: -70000, max: 70000 }));
    fc.assert(
      fc.property(some, (value) => {
        const bits = nearest(dtype, value);
        expect(encoded(dtype, [value])[0]).toBe(bits);
        expect(encoded(dtype, Float32Array.of(value))[0]).toBe(nearest(dtype, Math.fround(value)));
        expect(roundHalf(dtype, value)).toBe(floatOf(dtype, bits));
      }),
      { numRuns: 2000 },
    );
  });

  test('infinity and NaN are found', () => {
    const finite = EVERY.filter((bits) => Number.isFinite(floatOf(dtype, bits)));
    expect(finiteHalves(dtype, finite)).toBe(true);
    for (const value of [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN])
      expect(finiteHalves(dtype, encoded(dtype, [1, value, 2]))).toBe(false);
  });
});
