/** Safetensors: what the reference parser accepts and refuses, cut files, unaligned tensors, and the round trip. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FormatError, parseSafetensors, type TypedArray, writeSafetensors } from '../../src/formats/index.js';

function file(
  header: string | Uint8Array,
  data = new Uint8Array(0),
  length?: bigint,
): Uint8Array<ArrayBuffer> {
  const text = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

const four = new Uint8Array(4);
const one = '"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}';
const entry = (fields: string): string => `{"a":{${fields}}}`;

describe('refused', () => {
  test.each<[string, Uint8Array]>([
    ['empty file', new Uint8Array(0)],
    ['seven bytes', new Uint8Array(7)],
    ['header of 0 bytes', file('')],
    ['header of more than 1e8 bytes, in a short file', file('{}', undefined, 100_000_001n)],
    ['header length FF..FF', file('{}', undefined, 2n ** 64n - 1n)],
    ['header length 2^53+1', file('{}', undefined, 2n ** 53n + 1n)],
    ['header length beyond the file', file('{}', undefined, 3n)],
    ['one byte too many', file(`{${one}}`, new Uint8Array(5))],
    ['data cut short', file(`{${one}}`, new Uint8Array(3))],
    [
      'first tensor not at 0',
      file(entry('"dtype":"U8","shape":[1],"data_offsets":[1,2]'), new Uint8Array(2)),
    ],
    [
      'gap',
      file(
        '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}',
        new Uint8Array(3),
      ),
    ],
    [
      'overlap',
      file(
        '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}',
        new Uint8Array(3),
      ),
    ],
    [
      'two names on the same bytes',
      file(
        '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
        new Uint8Array(1),
      ),
    ],
    ['begin after end', file(entry('"dtype":"U8","shape":[0],"data_offsets":[1,0]'))],
    ['size unlike shape', file(entry('"dtype":"F32","shape":[2],"data_offsets":[0,4]'), four)],
    ['shape 1.0', file(entry('"dtype":"F32","shape":[1.0],"data_offsets":[0,4]'), four)],
    ['shape 1e0', file(entry('"dtype":"F32","shape":[1e0],"data_offsets":[0,4]'), four)],
    ['offset -0', file(entry('"dtype":"F32","shape":[1],"data_offsets":[-0,4]'), four)],
    ['negative dimension', file(entry('"dtype":"F32","shape":[-1],"data_offsets":[0,4]'), four)],
    ['dimension as text', file(entry('"dtype":"F32","shape":["1"],"data_offsets":[0,4]'), four)],
    [
      'dimension of 2^64',
      file(entry('"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,4]'), four),
    ],
    [
      'product overflow',
      file(entry('"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,4]'), four),
    ],
    ['shape with a string of digits', file(entry('"dtype":"U8","shape":["0"],"data_offsets":[0,0]'))],
    ['offset 0.0', file(entry('"dtype":"F32","shape":[1],"data_offsets":[0.0,4]'), four)],
    ['offset as text', file(entry('"dtype":"F32","shape":[1],"data_offsets":["0",4]'), four)],
    ['negative offset', file(entry('"dtype":"F32","shape":[1],"data_offsets":[-4,0]'), four)],
    ['F4 with half a byte', file(entry('"dtype":"F4","shape":[1],"data_offsets":[0,1]'), new Uint8Array(1))],
    ['one offset', file(entry('"dtype":"F32","shape":[1],"data_offsets":[0]'), four)],
    ['three offsets', file(entry('"dtype":"F32","shape":[1],"data_offsets":[0,4,4]'), four)],
    ['no dtype', file(entry('"shape":[1],"data_offsets":[0,4]'), four)],
    ['no shape', file(entry('"dtype":"F32","data_offsets":[0,4]'), four)],
    ['lower-case dtype', file(entry('"dtype":"f32","shape":[1],"data_offsets":[0,4]'), four)],
    ['unknown dtype', file(entry('"dtype":"F12","shape":[1],"data_offsets":[0,4]'), four)],
    ['dtype 7', file(entry('"dtype":7,"shape":[1],"data_offsets":[0,4]'), four)],
    ['dtype null', file(entry('"dtype":null,"shape":[1],"data_offsets":[0,4]'), four)],
    ['metadata with a number', file('{"__metadata__":{"a":1}}')],
    ['metadata with an object', file('{"__metadata__":{"a":{}}}')],
    ['metadata key twice, a number among them', file('{"__metadata__":{"a":1,"a":"x"}}')],
    ['metadata as array', file('{"__metadata__":[]}')],
    ['header is an array', file('[]')],
    ['header is null', file('null')],
    ['tensor is null', file('{"a":null}')],
    ['byte order mark', file('\ufeff{}')],
    ['NUL padding', file('{}\0\0')],
    ['trailing junk', file('{}x')],
    ['second object', file('{}{}')],
    ['invalid UTF-8', file(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d))],
    ['lone surrogate', file('{"\\ud800":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}')],
    ['leading zero', file(entry('"dtype":"U8","shape":[00],"data_offsets":[0,0]'))],
    ['trailing comma', file('{"__metadata__":{},}')],
    ['comment', file('{/**/}')],
    ['NaN', file(entry('"dtype":"U8","shape":[NaN],"data_offsets":[0,0]'))],
    ['key twice in an entry', file(entry('"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]'))],
    ['a name twice', file(`{${one},${one}}`, four)],
    [
      'a name twice with other ranges',
      file(
        '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}',
        new Uint8Array(2),
      ),
    ],
    ['two metadata', file('{"__metadata__":{},"__metadata__":{}}')],
  ])('%s', (_, bytes) => {
    expect(() => parseSafetensors(bytes)).toThrow(FormatError);
  });

  test('every prefix of a valid file', () => {
    const whole = writeSafetensors([
      ['a', { shape: [3], data: Float32Array.of(1, 2, 3) }],
      ['b', { shape: [1], data: Uint8Array.of(1) }],
    ]);
    for (let n = 0; n < whole.length; n++)
      expect(() => parseSafetensors(whole.subarray(0, n)), `${n} bytes`).toThrow(FormatError);
    expect(parseSafetensors(whole).names).toEqual(['a', 'b']);
  });
});

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
