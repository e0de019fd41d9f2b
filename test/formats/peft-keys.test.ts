/** The table of PEFT's names: what is written is read as what it was, and so is every other spelling. */
import { describe, expect, test } from 'vitest';
import { partOfKey, peftAliases, peftSlot } from '../../src/formats/peft-keys.js';

const WRITTEN = [
  ['linear', 'A', 'lora_A.weight'],
  ['linear', 'B', 'lora_B.weight'],
  ['conv2d', 'A', 'lora_A.weight'],
  ['embedding', 'A', 'lora_embedding_A'],
  ['embedding', 'B', 'lora_embedding_B'],
  ['linear', 'bias', 'lora_B.bias'],
  ['linear', 'magnitude', 'lora_magnitude_vector'],
  ['embedding', 'magnitude', 'lora_magnitude_vector'],
] as const;

describe.each(WRITTEN)('%s: %s', (kind, part, slot) => {
  test(`is written as ${slot}`, () => expect(peftSlot(kind, part)).toBe(slot));

  test('is read under every name that it may have, with an adapter’s name or without', () => {
    const factor = part === 'A' || part === 'B';
    for (const name of [slot, ...peftAliases(kind, part, ['default', 'weight'])])
      expect(partOfKey(`a.lora_A.b.${name}`), name).toEqual({
        ...{ path: 'a.lora_A.b', part },
        embedding: factor && kind === 'embedding',
      });
  });
});

test('a name of nothing in the table, and one without a layer before it, is none', () => {
  for (const key of ['fc.weight', 'fc.lora_A', 'fc.lora_A.a.b.weight', 'lora_A.weight', '.lora_B.bias', ''])
    expect(partOfKey(key), key).toBeNull();
});

test('a magnitude is found under the four names that PEFT has given it', () => {
  const names = ['lora_magnitude_vector', ...peftAliases('linear', 'magnitude', ['default'])];
  expect(names).toEqual([
    'lora_magnitude_vector',
    'lora_magnitude_vector.weight',
    'lora_magnitude_vector.default',
    'lora_magnitude_vector.default.weight',
  ]);
  for (const name of names) expect(partOfKey(`fc.${name}`)?.part, name).toBe('magnitude');
});
