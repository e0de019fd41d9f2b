/** Quantised weights of GGUF files: what is refused, what passes through, and where their tensors end. */
import { describe, expect, test } from 'vitest';
import type { READABLE } from '../../src/formats/ggml-types.js';
import { BLOCK_DTYPES } from '../../src/formats/ggml-types.js';
import { dequantise, FormatError, openGguf, quantise, readGguf } from '../../src/formats/index.js';
import { ggufBytes } from '../support/gguf.js';

const source = (bytes: Uint8Array) => ({
  size: bytes.length,
  read: async (begin: number, end: number) => bytes.slice(begin, end),
});

/** A file of one tensor of a type, with so many bytes of data. */
const fileOf = (type: number, sizes: readonly number[], data: number) =>
  source(ggufBytes({ metadata: {}, tensors: { w: { sizes, type, offset: 0 } }, data }));

describe.each(Object.entries(BLOCK_DTYPES))('%s', (name, { code, elements, bytes }) => {
  const dtype = name as keyof typeof BLOCK_DTYPES;

  test('bytes that are no whole blocks are refused', () => {
    expect(dequantise(dtype, new Uint8Array(0)).length).toBe(0);
    expect(dequantise(dtype, new Uint8Array(3 * bytes)).length).toBe(3 * elements);
    for (const length of [1, bytes - 1, bytes + 1])
      expect(() => dequantise(dtype, new Uint8Array(length))).toThrow(
        new FormatError(`dequantise: ${length} bytes of ${name}, expected whole blocks of ${bytes} bytes`),
      );
  });

  test('a tensor ends where its blocks do, and a file that ends before is cut short', async () => {
    const whole = 3 * 2 * bytes;
    const { tensors } = await openGguf('x', fileOf(code, [2 * elements, 3], whole));
    const { shape, dtype: found, begin, end } = tensors.get('w')!;
    expect([shape, found, end - begin]).toEqual([[3, 2 * elements], name, whole]);
    await expect(openGguf('x', fileOf(code, [2 * elements, 3], whole - 1))).rejects.toThrow(
      'it is cut short',
    );
  });

  test('rows that are no whole blocks are refused, also where they come to whole blocks together', async () => {
    const file = fileOf(code, [elements / 2, 2], bytes);
    await expect(openGguf('x', file)).rejects.toThrow(
      `openGguf: x: tensor 'w' is [2, ${elements / 2}] of ${name}, expected rows of whole blocks of ${elements}`,
    );
  });
});

test('a type without a reader has its size and name, and its values are refused by it', async () => {
  const { tensors } = await openGguf('x', fileOf(16, [256, 2], 132));
  const { dtype, begin, end } = tensors.get('w')!;
  expect([dtype, end - begin]).toEqual(['iq2_xxs', 132]);
  await expect(openGguf('x', fileOf(16, [256, 2], 131))).rejects.toThrow('it is cut short');
  const at = (offset: number, type: number) => ({ sizes: [256, 1], type, offset });
  const adapter = ggufBytes({
    metadata: { 'general.type': 'adapter', 'adapter.type': 'lora', 'adapter.lora.alpha': 1 },
    tensors: { 'q.weight.lora_a': at(0, 16), 'q.weight.lora_b': { sizes: [1, 2], type: 0, offset: 96 } },
    data: 104,
  });
  await expect(readGguf(adapter)).rejects.toThrow(
    "tensor 'q.weight.lora_a' is iq2_xxs, expected one of f32, f16",
  );
});

test('a type that nobody knows is refused by its number', async () => {
  for (const type of [4, 5, 31, 77, 2 ** 32 - 1])
    await expect(openGguf('x', fileOf(type, [32, 1], 64))).rejects.toThrow(
      `openGguf: x: tensor 'w' is of ggml's type ${type}, expected one that is known`,
    );
  const unknown: string = 'q9_9';
  expect(() => dequantise(unknown as keyof typeof READABLE, new Uint8Array(34))).toThrow(
    "dequantise: type is 'q9_9', expected one of f32, f16, bf16",
  );
});

test('f32 bytes at any address are their numbers', () => {
  const values = Float32Array.of(1.5, -0, Number.POSITIVE_INFINITY);
  const shifted = new Uint8Array(13);
  shifted.set(new Uint8Array(values.buffer), 1);
  expect(dequantise('f32', shifted.subarray(1))).toEqual(values);
});

test('infinity and NaN in a scale pass through', () => {
  const block = new Uint8Array(34).fill(1);
  block.set([0x00, 0x7c]);
  expect(dequantise('q8_0', block)).toEqual(new Float32Array(32).fill(Number.POSITIVE_INFINITY));
  block.set([0x00, 0x7e]);
  expect(dequantise('q8_0', block)).toEqual(new Float32Array(32).fill(Number.NaN));
});

describe('quantise', () => {
  test('takes whole blocks of finite values that the type can hold', () => {
    expect(() => quantise('q8_0', new Float32Array(33))).toThrow(
      new FormatError('quantise: 33 values for q8_0, expected whole blocks of 32'),
    );
    const values = new Float32Array(64);
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e30]) {
      values[40] = value;
      for (const type of ['q8_0', 'q4_0'] as const)
        expect(() => quantise(type, values)).toThrow(
          /^quantise: value 40 is .*, expected a finite one below/,
        );
    }
  });

  test('zeros, and values too small for a half float, come back as zero', () => {
    for (const type of ['q8_0', 'q4_0'] as const)
      for (const value of [0, 1e-12, 1e-44])
        for (const found of dequantise(type, quantise(type, new Float32Array(32).fill(value))))
          expect(Math.abs(found)).toBe(0);
  });

  test('a value is off by half a step of its block and the rounding of the scale', () => {
    const values = Float32Array.from({ length: 320 }, (_, i) => Math.sin(i * i) * 10 ** ((i >> 5) - 4));
    for (const [type, steps] of [
      ['q8_0', 127],
      ['q4_0', 8],
    ] as const) {
      const back = dequantise(type, quantise(type, values));
      for (let block = 0; block < 320; block += 32) {
        const most = Math.max(...values.subarray(block, block + 32).map(Math.abs));
        // The scale is a half float: 2^-11 of itself off, or 2^-25 where it is subnormal. The end of q4_0's range that the largest value
        // does not take reaches a step less far.
        const step = most / steps;
        const bound =
          (type === 'q4_0' ? 1 : 0.5) * step * (1 + 2 ** -10) + most * 2 ** -11 + steps * 2 ** -25;
        for (let i = block; i < block + 32; i++)
          expect(Math.abs(back[i]! - values[i]!), `${type} ${i}`).toBeLessThanOrEqual(bound);
      }
    }
  });
});
