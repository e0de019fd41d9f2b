/** What tells data from other data: every kind of value that batches are made of, and the order in which it lies. */
import { expect, test } from 'vitest';
import { createRuntime } from '../../src/index.js';
import { hashOf } from '../../src/train/data-hash.js';

test('what is equal has one hash, and what differs anywhere has another', async () => {
  using rt = await createRuntime({ threads: 1 });
  const make = (): Record<string, unknown> => ({
    ...{ nothing: null, missing: undefined, yes: true, text: 'a', number: 1.5, big: 3n },
    ...{
      ids: [1, 2, 3],
      mixed: [1, 'a', [2]],
      empty: [],
      floats: Float32Array.of(1, 2),
      bytes: new Uint8Array(5).buffer,
    },
    ...{ map: new Map([['a', 1]]), set: new Set([1, 2]), view: new DataView(new ArrayBuffer(3)) },
    tensor: rt.tensor([1, 2, 3, 4], [2, 2]),
  });
  const hash = hashOf([make()]);
  expect(hashOf([make()])).toBe(hash);
  const others: (readonly [string, unknown])[] = [
    ...Object.keys(make()).map((key): [string, unknown] => [key, 'another']),
    ...([
      ['ids', [1, 3, 2]],
      ['ids', [1, 2, 3, 4]],
      ['mixed', [1, 'a', 2]],
      ['floats', Float32Array.of(1, 2.5)],
    ] as const),
    ...([
      ['floats', Float64Array.of(1, 2)],
      ['number', '1.5'],
      ['map', new Map([['a', 2]])],
      ['yes', 1],
    ] as const),
    ['tensor', rt.tensor([1, 2, 3, 4], [4])],
    ['tensor', rt.tensor([1, 2, 3, 5], [2, 2])],
    ['bytes', new Uint8Array([0, 0, 1, 0, 0]).buffer],
  ];
  const hashes = others.map(([key, value]) => hashOf([{ ...make(), [key]: value }]));
  for (const [i, other] of hashes.entries()) expect(other, String(others[i]![0])).not.toBe(hash);
  expect(hashOf([make(), make()])).not.toBe(hash);
});

test('a value that holds itself is refused', () => {
  const own: { self?: object } = {};
  own.self = own;
  expect(() => hashOf([own])).toThrow('Trainer: a batch is nested more than 64 deep, expected plain data');
});
