/**
 * Every export and every public member, called with anything: what is refused is refused by an error of the package that names
 * what was called. `MANNERS_RUNS` and `MANNERS_SEED` make the run longer, or another.
 */
import { expect, test } from 'vitest';
import { KNOWN_GAPS } from './support/manners/known-gaps.js';
import { run } from './support/manners/run.js';
import { exportedClasses } from './support/manners/targets.js';
import { Worlds } from './support/manners/world.js';

const seed = Number(process.env.MANNERS_SEED ?? 20250613);
const runs = Number(process.env.MANNERS_RUNS ?? 25);

test('a wrong call is refused by an error that names it', async () => {
  const { targets, calls, faults } = await run({ seed, runs });
  console.info(`manners: ${calls} calls of ${targets.length} targets, seed ${seed}, ${runs} runs each`);
  expect(KNOWN_GAPS.filter((name) => !targets.includes(name))).toEqual([]);
  expect([...faults].filter(([name]) => !KNOWN_GAPS.includes(name)).map(([, fault]) => fault)).toEqual([]);
});

test('every exported class has an instance among the objects that are called', async () => {
  const worlds = new Worlds();
  const { objects } = await worlds.next();
  const lacking = exportedClasses().filter(
    ([, made]) => ![...objects.values()].some((one) => one instanceof made),
  );
  worlds.end();
  expect(lacking.map(([name]) => name)).toEqual([]);
});
