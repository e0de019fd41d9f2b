/** Damaged files of every format: each is read, the same twice, or refused by an error that says where. A short run of it. */
import { expect, test } from 'vitest';
import { Random } from '../../reference/random.js';
import { readAdapter } from '../../src/formats/index.js';
import { damaged, mutate, readingOf, soundAdapters } from '../support/mutate.js';

test('sound files are read, and a seed gives the same damage again', async () => {
  for (const [i, input] of (await soundAdapters()).entries()) {
    const { modules } = await readAdapter(input);
    expect(modules.length, input.name).toBeGreaterThan(0);
    expect((await readingOf(input)).fault, input.name).toBeNull();
    const [one, other] = [new Random(i), new Random(i)];
    for (let n = 0; n < 20; n++) expect(mutate(input.weights, one)).toEqual(mutate(input.weights, other));
  }
});

test('1,000 damaged files are read or refused', async () => {
  const sound = await soundAdapters();
  const random = new Random(1);
  const faults: string[] = [];
  let refused = 0;
  for (let turn = 0; turn < 1000; turn++) {
    const answer = await readingOf(damaged(random.choose(sound), random));
    if (answer.fault !== null) faults.push(`turn ${turn}: ${answer.fault}`);
    if (answer.refused) refused++;
  }
  expect(faults.slice(0, 5)).toEqual([]);
  // Damage that is always refused, or never, would show nothing.
  expect(refused).toBeGreaterThan(500);
  expect(1000 - refused).toBeGreaterThan(50);
});
