/** Safetensors that the reference parser accepts: unaligned tensors, every dtype, and the round trip. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseSafetensors, type TypedArray, writeSafetensors } from '../../src/formats/index.js';
import { entry, file, four, one } from '../support/safetensors-bytes.js';

describe('accepted', () => {
  test.each<[string, Uint8Array, string[]]>([
    ['no tensors', file('{}'), []],
    ['scalar', file(entry('"dtype":"F32","shape":[],"data_offsets":[0,4]'), four), ['a']],
    [
      'nothing in a tensor',
      file(
        '{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"b":{"dtype":"F32","shape":[0,9007199254740991,4],"data_offsets":[0,0]}}',
      ),
      ['a', 'b'],
    ],
    [
      'keys in any order, unknown fields',
      file(entry('"data_offsets":[0,4],"extra":{"x":[1.5]},"shape":[1],"dtype":"F32"'), four),
      ['a'],
    ],
    ['white space around', file(` \t\r\n{${one}} \n\t`, four), ['a']],
    ['header length that is no multiple of 8', file(`{${one}} `, four), ['a']],
    ['no tensors, metadata', file('{"__metadata__":{"a":"b"}}'), []],
    ['metadata null', file('{"__metadata__":null}'), []],
    [
      'names that JavaScript finds special',
      file(
        '{"":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"__proto__":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"constructor":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
      ),
      ['', '__proto__', 'constructor'],
    ],
  ])('%s', (_, bytes, names) => {
    expect(parseSafetensors(bytes).names).toEqual(names);
  });

  test('an unaligned tensor in a slice of a pool', () => {
    const header =
      '{"u":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"f":{"dtype":"F32","shape":[2],"data_offsets":[3,11]}}';
    const data = new Uint8Array(11);
    data.set(new Uint8Array(Float32Array.of(1.5, -2).buffer), 3);
    const bytes = file(header, data);
    const pool = new Uint8Array(bytes.length + 5);
    pool.set(bytes, 5);
    expect([...parseSafetensors(pool.subarray(5)).f32('f')]).toEqual([1.5, -2]);
  });

  test('a key twice inside the metadata: the last counts', () => {
    const found = parseSafetensors(file('{"__metadata__":{"a":"1","b":"2","a":"3"}}'));
    expect([...found.metadata]).toEqual([
      ['a', '3'],
      ['b', '2'],
    ]);
  });

  test.each([
    ['F4', 8],
    ['F6_E2M3', 4],
    ['F6_E3M2', 4],
    ['F8_E5M2', 4],
    ['F8_E4M3', 4],
    ['F8_E8M0', 4],
    ['F8_E4M3FNUZ', 4],
    ['F8_E5M2FNUZ', 4],
    ['C64', 1],
  ])('%s opens, and names itself when its values are asked for', (dtype, n) => {
    const size = { F4: 4, C64: 8 }[dtype] ?? (dtype.startsWith('F6') ? 3 : 4);
    const text = entry(`"dtype":"${dtype}","shape":[${n}],"data_offsets":[0,${size}]`);
    const found = parseSafetensors(file(text, new Uint8Array(size).fill(7)));
    expect(found.info('a').dtype).toBe(dtype);
    expect(found.bytes('a')).toEqual(new Uint8Array(size).fill(7));
    expect(() => found.array('a')).toThrow(`tensor 'a' is ${dtype}`);
  });

  test.each<[string, TypedArray]>([
    ['BOOL', Uint8Array.of(1, 0)],
    ['U8', Uint8Array.of(255, 1)],
    ['I8', Int8Array.of(-128, 1)],
    ['U16', Uint16Array.of(65535, 1)],
    ['I16', Int16Array.of(-32768, 1)],
    ['U32', Uint32Array.of(2 ** 32 - 1, 1)],
    ['I32', Int32Array.of(-(2 ** 31), 1)],
    ['U64', BigUint64Array.of(2n ** 64n - 1n, 1n)],
    ['I64', BigInt64Array.of(-(2n ** 63n), 1n)],
    ['F64', Float64Array.of(Math.PI, -1)],
    ['F32', Float32Array.of(0.1, -1)],
  ])('%s is read', (dtype, data) => {
    const bytes = Uint8Array.from(new Uint8Array(data.buffer));
    const text = entry(`"dtype":"${dtype}","shape":[2],"data_offsets":[0,${bytes.length}]`);
    expect(parseSafetensors(file(text, bytes)).array('a')).toEqual(data);
  });

  test('half and brain floats', () => {
    const data = new Uint8Array(Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7c00, 0x3f80, 0xc000).buffer);
    const found = parseSafetensors(
      file(
        '{"h":{"dtype":"F16","shape":[4],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[2],"data_offsets":[8,12]}}',
        data,
      ),
    );
    expect([...found.f32('h')]).toEqual([1, -2, 2 ** -24, Number.POSITIVE_INFINITY]);
    expect([...found.f32('b')]).toEqual([1, -2]);
  });
});

test('what is written is read back, aligned, in a fixed order', () => {
  const arrays = fc.oneof(
    fc.float32Array({ noNaN: true, noDefaultInfinity: true }).map((data) => Float32Array.from(data)),
    fc.uint8Array().map((data) => Uint8Array.from(data)),
    fc.bigInt64Array().map((data) => BigInt64Array.from(data)),
  );
  fc.assert(
    fc.property(
      fc.dictionary(
        fc.string({ unit: 'grapheme' }).filter((name) => name !== '__metadata__'),
        arrays,
      ),
      (tensors) => {
        const entries = Object.entries(tensors).map(
          ([name, data]) => [name, { shape: [data.length], data }] as const,
        );
        const bytes = writeSafetensors(entries);
        const found = parseSafetensors(bytes);
        expect(new DataView(bytes.buffer).getBigUint64(0, true) % 8n).toBe(0n);
        expect(writeSafetensors(entries.toReversed())).toEqual(bytes);
        for (const [name, { data }] of entries) expect(found.array(name)).toEqual(data);
      },
    ),
  );
});
