/** What starts threads is read when threads are asked for; where it does not load, one thread does the work and says why. */
import { beforeEach, expect, test, vi } from 'vitest';
import { createRuntime } from '../../src/index.js';

/** How often it was asked for, and whether it is there. */
const pool = vi.hoisted(() => ({ asked: 0, lost: false }));
vi.mock('../../src/engine/packaged.js', async (original) => {
  const packaged = await original<typeof import('../../src/engine/packaged.js')>();
  const packagedPool: typeof packaged.packagedPool = async () => {
    pool.asked++;
    if (pool.lost) throw new Error('Failed to fetch dynamically imported module');
    return packaged.packagedPool();
  };
  return { ...packaged, packagedPool };
});

beforeEach(() => {
  pool.asked = 0;
  pool.lost = false;
});

test('one thread does not ask for it, two do', async () => {
  using one = await createRuntime({ threads: 1 });
  expect(one.info().threads).toBe(1);
  expect(pool.asked).toBe(0);
  using two = await createRuntime({ threads: 2 });
  expect(two.info().threads).toBe(2);
  expect(pool.asked).toBe(1);
});

test('lost, it is the reason for one thread', async () => {
  pool.lost = true;
  using rt = await createRuntime({ threads: 2 });
  expect(rt.info()).toMatchObject({
    threads: 1,
    threadsReason: 'what starts threads did not load: Failed to fetch dynamically imported module',
  });
  expect(rt.zeros([2]).toArray()).toEqual(new Float32Array(2));
});
