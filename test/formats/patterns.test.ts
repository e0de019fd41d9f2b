/** Python's patterns over names, in linear time. */
import { expect, test } from 'vitest';
import { compilePattern } from '../../src/patterns/pattern.js';

test.each([
  ['(?P<n>a)b', 'ab', true],
  ['(?i)AB', 'ab', true],
  ['a', 'ab', false],
  ['a.b', 'a\nb', false],
  ['(a+)+$', `${'a'.repeat(999)}b`, false],
])('%s', (pattern, name, matches) => {
  expect(compilePattern('test', pattern).matches(name)).toBe(matches);
});

test.each(['(?=a)b', '(a)\\1', 'a++', 'a\\Z', '('])('%s is refused by name', (pattern) => {
  expect(() => compilePattern('test', pattern)).toThrow(
    `test: '${pattern}' is no regular expression of the RE2 kind`,
  );
});

test('a pattern over 512 characters and a name over 1024 are refused', () => {
  expect(() => compilePattern('test', 'a'.repeat(513))).toThrow('has 513 characters, expected at most 512');
  expect(compilePattern('test', 'a'.repeat(512)).matches('b')).toBe(false);
  expect(() => compilePattern('test', 'a').matches('a'.repeat(1025))).toThrow('has 1025 characters');
});
