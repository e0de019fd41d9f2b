/**
 * A short run of what `npm run test:hostile` does for minutes: damaged files, random shapes, injected errors under random options.
 * Wrong calls and lost workers have tests of their own, and costs are counted in `formats/limits.test.ts`.
 */
import { expect, test } from 'vitest';
import { Random } from '../reference/random.js';
import { files } from './hostile/files.js';
import { memory } from './hostile/memory.js';
import { numbers } from './hostile/numbers.js';

const SEED = 7;

test.each([
  [files, 30],
  [numbers, 30],
  [memory, 15],
] as const)('a short run without a fault: $name', async (section, turns) => {
  let left = turns;
  const rows = await section.run({ more: () => left-- > 0, time: 0, random: new Random(SEED) });
  expect(rows.flatMap(({ what, faults }) => faults.map((fault) => `${what}: ${fault}`))).toEqual([]);
  for (const { what, tried } of rows) expect(`${what}: ${tried}`).not.toMatch(/: 0 /);
});
