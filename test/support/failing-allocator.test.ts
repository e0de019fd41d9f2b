/** The failing allocator that other tests rely on. */
import { expect, test } from 'vitest';
import { createRuntime, OutOfMemoryError } from '../../src/index.js';
import { FailingAllocator, failEachAllocation } from './failing-allocator.js';

test('the chosen allocation fails, the others count and show the peak', async () => {
  using rt = await createRuntime({ threads: 1 });
  const before = rt.memory().held;
  {
    using allocator = new FailingAllocator(rt, 3);
    const [a, b] = [rt.zeros([100]), rt.zeros([100])];
    expect(() => rt.zeros([100])).toThrow(OutOfMemoryError);
    a.dispose();
    b.dispose();
    expect(allocator).toMatchObject({ count: 3, failed: true, peak: before + 2 * 448 });
  }
  rt.zeros([100]).dispose();
  expect(rt.memory().held).toBe(before);
});

test('each allocation fails in turn; one that is swallowed is an error', async () => {
  using rt = await createRuntime({ threads: 1 });
  const failed: number[] = [];
  const run = (): void => rt.scope(() => void [rt.zeros([1]), rt.zeros([1])]);
  expect(await failEachAllocation(rt, run, (at) => failed.push(at))).toBe(2);
  expect(failed).toEqual([1, 2]);
  const swallow = (): void => {
    try {
      run();
    } catch {}
  };
  await expect(failEachAllocation(rt, swallow, () => {})).rejects.toThrow(/allocation 1 failed and nobody/);
});
