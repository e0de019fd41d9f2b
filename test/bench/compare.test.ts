/** What a comparison of two checkouts says of their times. */
import { expect, test } from 'vitest';
import { compareTimes, verdictOf } from '../../bench/compare/verdict.js';

const of = (name: string, ...rounds: number[]) => rounds.map((ms) => ({ [name]: ms }));

test.each([
  ['a median under 0.97 whose times do not overlap is a loss', [10, 11, 10], [12, 13, 12], true],
  ['one whose times overlap is none', [10, 13, 10], [12, 13, 12], false],
  ['a median of 0.97 and above is none, however sure', [9.75, 9.75, 9.75], [10, 10, 10], false],
  ['a gain is none', [12, 12, 12], [10, 10, 10], false],
])('%s', (_, before, now, lost) => {
  const { lines } = compareTimes(of('step', ...before), of('step', ...now));
  expect(lines.map((line) => line.lost)).toEqual([lost]);
  expect(verdictOf(lines)).toBe(lost ? '1 of 1 lost: step' : 'no loss');
});

test('ratios are those of rounds that are neighbours, with their range', () => {
  // Both slow down in the second round: the ratio does not move with them.
  const [line] = compareTimes(of('step', 2, 20, 3), of('step', 1, 10, 2)).lines;
  expect(line!.ratio).toMatchObject({ median: 2, min: 1.5, max: 2 });
  expect([line!.was.median, line!.is.median]).toEqual([3, 2]);
});

test('what one of the two cannot measure is named, not compared', () => {
  const { lines, missing } = compareTimes(
    [{ a: 1, b: 1 }, { a: 1 }],
    [
      { a: 1, b: 1 },
      { a: 1, b: 1 },
    ],
  );
  expect(lines.map(({ name }) => name)).toEqual(['a']);
  expect(missing).toEqual(['b']);
});
