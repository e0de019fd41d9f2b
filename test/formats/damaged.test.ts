/** Damaged files of every format: each is read, the same twice, or refused by an error that says where. A short run of it. */
import { expect, test } from 'vitest';
import { readAdapter } from '../../src/formats/index.js';
import { generator, mutate, runFormats, soundAdapters } from '../support/mutate.js';

test('sound files are read, and a seed gives the same damage again', async () => {
  for (const [i, input] of (await soundAdapters()).entries()) {
    const { modules } = await readAdapter(input);
    expect(modules.length, `file ${i}`).toBeGreaterThan(0);
    const [one, other] = [generator(i), generator(i)];
    for (let n = 0; n < 20; n++) expect(mutate(input.weights, one)).toEqual(mutate(input.weights, other));
  }
});

test.each([1, 2])('1,000 damaged files of seed %d', async (seed) => {
  let turns = 0;
  const run = await runFormats({ seed, until: () => turns++ >= 1000 });
  expect(run.first).toEqual([]);
  expect(run).toMatchObject({ tried: 1000, faults: 0 });
  // Damage that is always refused, or never, would show nothing.
  expect(run.errors).toBeGreaterThan(500);
  expect(run.read).toBeGreaterThan(50);
});
