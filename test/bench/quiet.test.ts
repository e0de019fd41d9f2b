import { afterEach, expect, test, vi } from 'vitest';
import { Quiet } from '../../bench/quiet.js';

/** Loops that read at `speed` bytes a millisecond, by a clock of their own; after `reads` more of them at full speed. */
function machine() {
  let now = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => now);
  const state = { speed: 1e8, reads: Number.POSITIVE_INFINITY };
  const yardstick = {
    prepareRead: () => {},
    read: (bytes: number) => {
      if (--state.reads < 0) state.speed = 1e8;
      now += bytes / state.speed;
      return bytes;
    },
  };
  return { state, quiet: new Quiet(yardstick) };
}

afterEach(() => {
  vi.restoreAllMocks();
});

test('a round on a quiet machine counts at once', () => {
  const { quiet } = machine();
  expect(quiet.round(() => 7)).toBe(7);
  expect([quiet.setAside, quiet.disturbed]).toEqual([0, 0]);
});

test('a round is repeated when the caches answered slowly after it', () => {
  const { state, quiet } = machine();
  let rounds = 0;
  const result = quiet.round(() => {
    // A neighbour comes in the first round, and leaves while the second waits.
    state.speed = ++rounds === 1 ? 5e7 : 1e8;
    if (rounds === 1) state.reads = 2000;
    return rounds;
  });
  expect(result).toBe(2);
  expect([quiet.setAside, quiet.disturbed]).toEqual([1, 0]);
});

test('a few percent less are no neighbour', () => {
  const { state, quiet } = machine();
  state.speed = 0.95e8;
  expect(quiet.round(() => 1)).toBe(1);
  expect([quiet.setAside, quiet.disturbed]).toEqual([0, 0]);
});

test('on a machine that is never quiet the patience ends, and rounds count as they are', () => {
  const { state, quiet } = machine();
  state.speed = 5e7;
  let rounds = 0;
  for (let i = 0; i < 1000; i++) quiet.round(() => ++rounds);
  expect(quiet.disturbed).toBe(1000);
  expect(quiet.setAside).toBeLessThan(700);
  expect(rounds).toBe(1000 + quiet.setAside);
});
