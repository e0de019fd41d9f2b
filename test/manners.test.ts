/**
 * Every export and every public member, called with anything: what is refused is refused by an error of the package that names
 * what was called. `MANNERS_RUNS` and `MANNERS_SEED` make the run longer, or another.
 */
import { expect, test } from 'vitest';
import { KNOWN_GAPS } from './support/manners/known-gaps.js';
import { tryOptions } from './support/manners/options.js';
import { Bench, run } from './support/manners/run.js';
import { exportedClasses, findTargets } from './support/manners/targets.js';
import { Worlds } from './support/manners/world.js';

const seed = Number(process.env.MANNERS_SEED ?? 20250613);
const runs = Number(process.env.MANNERS_RUNS ?? 20);

const chosen = (name: string): boolean => !KNOWN_GAPS.includes(name);

test('a wrong call is refused by an error that names it', async () => {
  const { targets, calls, faults } = await run({ seed, runs, chosen });
  console.info(`manners: ${calls} calls of ${targets.length} targets, seed ${seed}, ${runs} runs each`);
  expect([...faults.values()]).toEqual([]);
}, 0);

test('an option that nobody knows, or of a wrong kind, is refused; the right calls are taken', async () => {
  await using bench = await Bench.open();
  const { calls, wrongRight, faults } = await tryOptions(bench, chosen);
  expect(wrongRight).toEqual([]);
  expect(faults).toEqual([]);
  expect(calls).toBeGreaterThan(150);
});

test('every exported class has an instance among the objects that are called, and every gap is a target', async () => {
  const worlds = new Worlds();
  const world = await worlds.next();
  const objects = Object.values(world.objects.byName);
  const targets = findTargets(world).map(({ name }) => name);
  worlds.end();
  const lacking = exportedClasses().filter(([, made]) => !objects.some((one) => one instanceof made));
  expect(lacking.map(([name]) => name)).toEqual([]);
  expect(KNOWN_GAPS.filter((name) => !targets.includes(name))).toEqual([]);
});
