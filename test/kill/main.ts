/**
 * `npm run test:kill [-- --times 50 --seed N]`: kills a small training job that often, half of the kills inside a save, and prints
 * what came of it. Exit code 1 where a resumed run ended in other bytes than one that nothing disturbed.
 */
import { parseArgs } from 'node:util';
import { freshPackage } from '../../scripts/build/fresh.js';
import { killJobs } from './lives.js';
import { seeded } from './seeded.js';

const { values } = parseArgs({ options: { times: { type: 'string' }, seed: { type: 'string' } } });
const times = Number(values.times ?? 50);
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
if (!Number.isInteger(times) || times < 1 || !Number.isInteger(seed)) {
  console.error(`test:kill: times ${values.times} and seed ${values.seed}, expected whole numbers`);
  process.exit(2);
}
freshPackage();
const { kills, insideSave, resumes, runs, differences } = await killJobs(times, seeded(seed));
console.log(
  `test:kill: seed ${seed}: ${kills} kills (${insideSave} inside a save), ${resumes} resumes, ${runs} runs, ${differences.length} differences`,
);
for (const difference of differences) console.log(`  ${difference}`);
process.exit(differences.length === 0 ? 0 : 1);
