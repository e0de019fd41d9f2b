/** The table of PEFT's names: what is written is read as what it was, and so is every other spelling. */
import { describe, expect, test } from 'vitest';
import {
  firstOfCopy,
  keyInWrapped,
  nameInBase,
  partOfKey,
  peftAliases,
  peftSlot,
  placeOfKey,
  savedSlot,
  slotInModel,
} from '../../src/formats/peft-keys.js';

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

test('a parameter in a model has its adapter’s name where PEFT puts it', () => {
  const names = WRITTEN.map(([kind, part]) => slotInModel(kind, part, 'b'));
  expect(names).toEqual([
    ...['lora_A.b.weight', 'lora_B.b.weight', 'lora_A.b.weight', 'lora_embedding_A.b', 'lora_embedding_B.b'],
    ...['lora_B.b.bias', 'lora_magnitude_vector.b.weight', 'lora_magnitude_vector.b.weight'],
  ]);
  for (const [i, [kind, part]] of WRITTEN.entries())
    expect(peftAliases(kind, part, ['b']), names[i]).toContain(names[i]);
});

test('a parameter of the base is found behind what PEFT wraps around its layer', () => {
  expect(nameInBase(keyInWrapped('a.q', 'bias'))).toBe('a.q.bias');
  expect(nameInBase('head.original_module.bias')).toBe('head.bias');
  expect(nameInBase('head.original_module.norm.base_layer.bias')).toBe('head.norm.bias');
  for (const name of ['a.q.bias', 'base_layer.a.q.weight', 'original_module.bias'])
    expect(nameInBase(name), name).toBe(name);
});

test('the place of a parameter that is none of LoRA’s is told by the ends of its key', () => {
  const places = [
    'head.original_module.bias',
    'a.bias',
    keyInWrapped('a', 'weight'),
    keyInWrapped('a', 'scale'),
    'a.weight',
  ];
  expect(places.map(placeOfKey)).toEqual(['original', 'bias', 'wrapped', null, null]);
});

test('a bias of a saved module is known under its place in PEFT’s wrapper', () => {
  expect(firstOfCopy(`x.head.${savedSlot('default', 'bias')}`)).toBe('x.head.bias');
  expect(firstOfCopy(`x.head.${savedSlot('default', 'norm.bias')}`)).toBe('x.head.norm.bias');
  expect(firstOfCopy('x.head.modules_to_save.bias')).toBe('x.head.bias');
  for (const key of ['x.head.bias', `x.head.${savedSlot('default', 'weight')}`, 'modules_to_save.a.bias'])
    expect(firstOfCopy(key), key).toBeNull();
});
