/** Safetensors that the reference parser refuses, and cut files. */
import { describe, expect, test } from 'vitest';
import { FormatError, parseSafetensors, writeSafetensors } from '../../src/formats/index.js';
import { entry, file, four, one } from '../support/safetensors-bytes.js';

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
