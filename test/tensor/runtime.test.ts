/** Scopes, lifetimes and memory: what is released, what stays, and that training needs no more with every step. */
import { describe, expect, test } from 'vitest';
import {
  Adam,
  add,
  createRuntime,
  crossEntropy,
  Linear,
  LoraModel,
  mul,
  OutOfMemoryError,
  reshape,
  Sequential,
  sum,
} from '../../src/index.js';
import { readBytes } from '../../src/platform/index.js';
import { describeRuntimes, inUse } from '../support/runtimes.js';

describeRuntimes('scopes', (rt) => {
  test('everything made inside goes, except what is returned or kept', () => {
    const before = rt().memory().tensors;
    const found = rt().scope(() => {
      const [a, b, c, d] = [rt().tensor([1]), rt().tensor([2]), rt().tensor([3]), rt().tensor([4])];
      add(a, b);
      return { list: [a], map: new Map([['b', b]]), kept: c.keep().size, inner: rt().scope(() => add(a, d)) };
    });
    expect(rt().memory().tensors - before).toBe(4);
    expect(found.list[0]!.item() + found.map.get('b')!.item() + found.inner.item()).toBe(8);
    expect(() => rt().scope(() => Promise.resolve(1))).toThrow(/returned a promise/);
    expect(() => rt().noGrad(async () => 1)).toThrow(/returned a promise/);
  });

  test('a returned loss takes its part of the tape along; one left behind is spent', () => {
    const x = rt().tensor([1, 2, 3], [3], { requiresGrad: true });
    rt()
      .scope(() => sum(mul(x, x)))
      .backward();
    expect([...x.grad!.toArray()]).toEqual([2, 4, 6]);
    const y = rt().scope(() => sum(mul(x, x)).keep());
    expect(() => y.backward()).toThrow(/its scope ended/);
  });

  test('copies stay what they are when memory grows; use after dispose is an error', () => {
    const x = rt().tensor([1, 2, 3, 4], [2, 2]);
    const copy = x.toArray();
    const view = reshape(x, [-1]);
    const large = rt().zeros([4 * 2 ** 20 * 8]);
    expect([...copy]).toEqual([1, 2, 3, 4]);
    large.dispose();
    x.dispose();
    x.dispose();
    expect(() => x.toArray()).toThrow(/used after dispose/);
    expect(() => add(x, x)).toThrow(/used after dispose|was used after/);
    expect([...view.toArray()]).toEqual([1, 2, 3, 4]);
  });

  test('1,000 training steps need constant memory; disposing gives everything back', () => {
    const train = (steps: number): void => {
      const model = new Sequential(new Linear(rt(), 20, 5));
      const holder = LoraModel.attach(model, { r: 2, targetModules: ['0'] });
      const optimizer = new Adam(holder.trainableParameters());
      const x = rt().normal([8, 20]).keep();
      const y = rt()
        .tensor(Int32Array.of(0, 1, 2, 3, 4, 0, 1, 2))
        .keep();
      const step = (): void =>
        rt().scope(() => {
          optimizer.zeroGrad();
          crossEntropy(holder.forward(x), y).backward();
          optimizer.step();
        });
      for (let i = 0; i < 3; i++) step();
      const settled = inUse(rt());
      for (let i = 0; i < steps; i++) step();
      expect(inUse(rt())).toEqual(settled);
      for (const made of [optimizer, holder, x, y]) made.dispose();
    };
    // The first run leaves the scratch that products keep for the next.
    train(1);
    const before = inUse(rt());
    train(1000);
    expect(inUse(rt())).toEqual(before);
  });
});

describe('createRuntime', () => {
  test('the same seed gives the same bits, another seed others', async () => {
    const draw = async (seed: number): Promise<number[]> => {
      using rt = await createRuntime({ seed });
      return [...new Linear(rt, 5, 3).weight.toArray(), ...rt.normal([9]).toArray()];
    };
    expect(await draw(1)).toEqual(await draw(1));
    expect(await draw(1)).not.toEqual(await draw(2));
    expect(await draw(1)).not.toEqual(await draw(1 + 2 ** 40));
  });

  test('more than is allowed is an OutOfMemoryError, and the runtime stays usable', async () => {
    using rt = await createRuntime({ maxMemoryMB: 16 });
    const before = inUse(rt);
    expect(() => rt.zeros([10 * 2 ** 28])).toThrow(OutOfMemoryError);
    expect(() => new Linear(rt, 10_000, 10_000)).toThrow(
      /wanted 400000000 bytes, holding \d+, allowed 16777216/,
    );
    expect(inUse(rt)).toEqual(before);
    expect(new Linear(rt, 3, 2).forward(rt.zeros([1, 3])).shape).toEqual([1, 2]);
    rt.dispose();
    expect(() => rt.zeros([1])).toThrow(/after dispose/);
  });

  test.each([1, 2])('the smallest limit is kept, threads %i', async (threads) => {
    using rt = await createRuntime({ maxMemoryMB: 1, threads });
    expect(rt.memory().bytes).toBe(2 ** 20);
    expect(() => rt.zeros([2 ** 18])).toThrow(/allowed 1048576 \(maxMemoryMB 1\)/);
    expect(sum(rt.full([1000], 2)).item()).toBe(2000);
  });

  test('kernels come as bytes, module or function; another build than asked for is an error', async () => {
    const bytes = await readBytes(new URL('../../build/simd.wasm', import.meta.url));
    const kernels = 'simd';
    for (const wasm of [bytes, bytes.buffer, await WebAssembly.compile(bytes), () => bytes]) {
      using rt = await createRuntime({ kernels, wasm });
      expect(rt.info()).toMatchObject({ kernels, threads: 1 });
      expect(sum(rt.tensor([1, 2])).item()).toBe(3);
    }
    const relaxed = await readBytes(new URL('../../build/relaxed-simd.wasm', import.meta.url));
    if (WebAssembly.validate(relaxed)) {
      await expect(createRuntime({ kernels, wasm: relaxed })).rejects.toThrow(
        /holds the 'relaxed-simd' kernels, expected 'simd'/,
      );
    }
    await expect(createRuntime({ wasm: Uint8Array.of(0, 1, 2) })).rejects.toThrow(
      /given as bytes are no WebAssembly but 3 bytes/,
    );
  });
});
