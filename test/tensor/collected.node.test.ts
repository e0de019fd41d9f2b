/** What a program drops without dispose() is given back once it was collected, and no longer counts. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { createRuntime, mul, sum } from '../../src/index.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Collects until `done`, at most so many times. */
async function until(done: () => boolean): Promise<void> {
  for (let i = 0; i < 50 && !done(); i++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test('tensors that were dropped are no longer counted, and their blocks are free', async () => {
  using rt = await createRuntime({ kernels: 'simd', threads: 1 });
  const kept = rt.tensor([1, 2]);
  (() => {
    for (let i = 0; i < 10; i++) rt.tensor([i]);
    rt.zeros([3]).keep();
  })();
  expect(rt.memory().tensors).toBe(12);
  await until(() => rt.memory().tensors === 1);
  expect(rt.memory()).toMatchObject({ tensors: 1, blocks: 1 });
  expect(kept.item.length).toBe(0);
  kept.dispose();
  expect(rt.memory()).toMatchObject({ tensors: 0, blocks: 0 });
});

test('a graph that was dropped outside of every scope gives back what it saved', async () => {
  using rt = await createRuntime({ kernels: 'simd', threads: 1 });
  const x = rt.tensor([1, 2], [2], { requiresGrad: true });
  (() => {
    for (let i = 0; i < 10; i++) sum(mul(mul(x, x), x));
  })();
  expect(rt.memory().blocks).toBe(31);
  await until(() => rt.memory().blocks === 1);
  expect(rt.memory()).toMatchObject({ tensors: 1, blocks: 1 });
  expect([...x.toArray()]).toEqual([1, 2]);
});

test('a graph that backward used up is not given back a second time', async () => {
  using rt = await createRuntime({ kernels: 'simd', threads: 1 });
  const x = rt.tensor([1, 2], [2], { requiresGrad: true });
  (() => {
    for (let i = 0; i < 10; i++) sum(mul(x, x)).backward();
  })();
  await until(() => rt.memory().blocks === 2);
  expect(rt.memory()).toMatchObject({ tensors: 2, blocks: 2 });
  expect([...x.grad!.toArray()]).toEqual([20, 40]);
});
