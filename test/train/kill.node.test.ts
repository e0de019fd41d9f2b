/** Kills in the middle of training and of saves, by `kill -9`: `npm run test:kill -- --times N` does more of them. */
import { expect, test } from 'vitest';
import { killJobs } from '../kill/lives.js';
import { seeded } from '../kill/seeded.js';

test('a checkpoint resumes bit for bit after a kill in the middle of a save', async () => {
  const { kills, insideSave, resumes, differences } = await killJobs(5, seeded(3));
  expect(differences).toEqual([]);
  expect(kills).toBe(5);
  expect(insideSave).toBe(3);
  expect(resumes).toBeGreaterThan(0);
});
