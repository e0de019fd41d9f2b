/** causalAttention: shapes and options that it refuses, by name. */
import { expect, test } from 'vitest';
import { causalAttention } from '../../src/index.js';
import { describeRuntimes } from '../support/runtimes.js';
import { wrong } from '../support/wrong.js';

describeRuntimes('causalAttention', (rt) => {
  const call = (
    options: object,
    [q, k, v]: readonly (readonly number[])[] = [
      [1, 2, 8],
      [1, 2, 8],
      [1, 2, 8],
    ],
  ) =>
    causalAttention(
      rt().zeros([...q!]),
      rt().zeros([...k!]),
      rt().zeros([...v!]),
      wrong({ heads: 2, ...options }),
    );

  test.each<[string, () => unknown]>([
    ['causalAttention: heads is 0, expected an integer from 1', () => call({ heads: 0 })],
    ['causalAttention: kvHeads is 4, expected an integer from 1 to 3', () => call({ heads: 3, kvHeads: 4 })],
    ['causalAttention: kvHeads is 2, expected a divisor of 3 heads', () => call({ heads: 3, kvHeads: 2 })],
    ['causalAttention: q is [1, 2, 8], expected [B, T, 3*D]', () => call({ heads: 3 })],
    ['causalAttention: k is [1, 2, 8], expected [1, S, 4]', () => call({ kvHeads: 1 })],
    [
      'causalAttention: v is [1, 3, 8], expected [1, 2, 8]',
      () =>
        call({}, [
          [1, 2, 8],
          [1, 2, 8],
          [1, 3, 8],
        ]),
    ],
    [
      'causalAttention: k is [1, 2, 8], expected at least 3 keys for 2 queries from 1 on',
      () => call({ offset: 1 }),
    ],
    ['causalAttention: window is 0, expected an integer from 1', () => call({ window: 0 })],
    [
      'causalAttention: scale is Infinity, expected a number',
      () => call({ scale: Number.POSITIVE_INFINITY }),
    ],
    ['causalAttention: starts has 1 elements, expected 2', () => call({ starts: Int32Array.of(0) })],
    ['causalAttention: starts[0] is 1, expected from 0 to 0', () => call({ starts: Int32Array.of(1, 0) })],
    ['causalAttention: starts[1] is -1, expected from 0 to 1', () => call({ starts: Int32Array.of(0, -1) })],
    ["causalAttention: unknown option 'mask'", () => call({ mask: null })],
  ])('%s', (words, act) => {
    expect(act).toThrow(words);
  });
});
