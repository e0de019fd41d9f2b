/** The memory of an optimiser's moments: given back when the constructor fails, on dispose, and when the optimiser is dropped. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test, vi } from 'vitest';
import { AdamW, createRuntime, Linear, OutOfMemoryError, SGD } from '../../src/index.js';
import { inUse } from '../support/runtimes.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const rt = await createRuntime({ kernels: 'simd', threads: 1 });

test('a constructor that runs out of memory holds nothing, whichever allocation fails', () => {
  const groups = [4, 5].map((n) => ({ parameters: new Linear(rt, n, n).parameters(), lr: 0.1 }));
  const before = inUse(rt);
  const { engine } = rt;
  const allocate = engine.allocate.bind(engine);
  let failures = 0;
  for (let fails = 0; ; fails++) {
    let count = 0;
    const spy = vi.spyOn(engine, 'allocate').mockImplementation((bytes) => {
      if (count++ === fails) throw new OutOfMemoryError(bytes, 0, 0);
      return allocate(bytes);
    });
    let made: AdamW | null = null;
    try {
      made = new AdamW(groups);
    } catch (error) {
      expect(error).toBeInstanceOf(OutOfMemoryError);
      failures++;
    } finally {
      spy.mockRestore();
    }
    made?.dispose();
    expect(inUse(rt)).toEqual(before);
    if (made !== null) break;
  }
  expect(failures).toBe(4);
});

test('dispose gives the moments back once', () => {
  const parameters = new Linear(rt, 4, 4).parameters();
  const before = rt.memory().blocks;
  const optimizer = new AdamW(parameters);
  expect(rt.memory().blocks).toBe(before + 2);
  optimizer.dispose();
  optimizer.dispose();
  expect(rt.memory().blocks).toBe(before);
  expect(() => optimizer.step()).toThrow('AdamW.step: used after dispose()');
});

test('an optimiser that is dropped gives its moments back', async () => {
  // A runtime of its own: what other tests dropped is collected in between.
  using rt = await createRuntime({ kernels: 'simd', threads: 1 });
  const parameters = new Linear(rt, 4, 4).parameters();
  const before = rt.memory().blocks;
  (() => {
    const dropped = [new AdamW(parameters), new SGD(parameters, { momentum: 0.9 })];
    expect(rt.memory().blocks).toBe(before + 3);
    for (const optimizer of dropped) optimizer.zeroGrad();
  })();
  // Finalisers run between turns of the event loop, some collections later.
  for (let turn = 0; turn < 100 && rt.memory().blocks > before; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
    collect();
  }
  expect(rt.memory().blocks).toBe(before);
});
