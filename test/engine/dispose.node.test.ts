/** The method of `using`, in an engine that has the symbol and, simulated, in one that does not. */
import { afterEach, expect, test, vi } from 'vitest';

afterEach(() => {
  vi.unstubAllGlobals();
  vi.resetModules();
});

test('a runtime, a tensor, a module and an optimiser have the method', async () => {
  const { createRuntime, Linear, SGD } = await import('../../src/index.js');
  using rt = await createRuntime({ kernels: 'simd' });
  const layer = new Linear(rt, 2, 2);
  const all = [rt, rt.zeros([1]), layer, new SGD([...layer.parameters()], { lr: 1 })];
  expect(all.map((one) => typeof one[Symbol.dispose])).toEqual(all.map(() => 'function'));
});

test('without Symbol.dispose they have it where compiled `using` looks', async () => {
  const real = Symbol;
  const older = Object.setPrototypeOf((text?: string) => real(text), real);
  vi.stubGlobal('Symbol', Object.defineProperty(older, 'dispose', { value: undefined }));
  vi.resetModules();
  const { createRuntime } = await import('../../src/index.js');
  const rt = await createRuntime({ kernels: 'simd' });
  const { [Symbol.for('Symbol.dispose')]: dispose } = rt as unknown as Record<symbol, () => void>;
  dispose!.call(rt);
  expect(() => rt.zeros([1])).toThrow(/used after dispose/);
});
