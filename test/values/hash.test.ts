/** The hash of models and data: the values of another implementation, and the same whatever pieces the bytes come in. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Hash } from '../../src/values/hash.js';

const bytesOf = (count: number): Uint8Array =>
  Uint8Array.from({ length: count }, (_, i) => (i * 7 + 3) & 255);

// MurmurHash3 (x86, 128 bits, seed 0) by mmh3 5.2 for Python, each word with its highest byte first.
const KNOWN: readonly [number, string][] = [
  [0, '00000000000000000000000000000000'],
  [1, '70d159b27643466f7643466f7643466f'],
  [4, '96730a642b5a744a2b5a744a2b5a744a'],
  [5, 'bfa641bc477db7364533345145333451'],
  [9, '83f87d3ff463af4e041325dc59a5a42e'],
  [13, '36d8233e618d9b6723276d2c76bcc80d'],
  [15, 'b186314cd83994c979989e614026183a'],
  [16, '66a18bf3ee8386c01f821fdc0a6dd533'],
  [17, '28f01ec4307455b24686acf03523143a'],
  [31, '8cfefa9bd715c49d67786e43a51ec26a'],
  [33, '6be88ebdb03a41991d747b376c64d50e'],
  [64, 'baefececd2dad83c0aa2b25545b34703'],
  [1000, 'b16407cd3fc1b57f1516d8205e445560'],
];

test.each(KNOWN)('%i bytes have the known hash', (count, hash) => {
  expect(new Hash().update(bytesOf(count)).digest()).toBe(hash);
});

test('pieces and their alignment make no difference', () => {
  const pieces = fc.array(fc.nat(70_000), { maxLength: 6 });
  fc.assert(
    fc.property(pieces, fc.nat(3), (sizes, shift) => {
      const total = sizes.reduce((sum, size) => sum + size, 0);
      const shifted = new Uint8Array(total + shift);
      shifted.set(bytesOf(total), shift);
      const hash = new Hash();
      let at = shift;
      for (const size of sizes) {
        hash.update(shifted.subarray(at, at + size));
        at += size;
      }
      expect(hash.digest()).toBe(new Hash().update(bytesOf(total)).digest());
    }),
    { numRuns: 30 },
  );
});

test('texts and numbers do not run into each other', () => {
  const of = (...texts: readonly string[]): string => {
    const hash = new Hash();
    for (const text of texts) hash.text(text);
    return hash.digest();
  };
  expect(of('ab', 'c')).not.toBe(of('a', 'bc'));
  expect(of('ab')).toBe(of('ab'));
  expect(of('é')).not.toBe(of('e'));
  expect(new Hash().numbers(0).digest()).not.toBe(new Hash().numbers(1).digest());
});
