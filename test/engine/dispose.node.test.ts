/** The method of `using`, in an engine that has the symbol and, simulated, in one that does not; and an end without it. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
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

test.each(['', 'throw new Error("over");'])('a process ends by itself without dispose: %j', (last) => {
  const entry = new URL('../../dist/index.js', import.meta.url).href;
  const script = `import { createRuntime, linear } from '${entry}';
    const rt = await createRuntime({ threads: 2 });
    console.log(rt.info().threads, linear(rt.full([200, 300], 2), rt.full([250, 300], 3)).toArray()[7]);
    ${last}`;
  let output = '';
  try {
    output = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      timeout: 30_000,
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    expect(last).toBe('');
  } catch (error) {
    expect(error).toMatchObject({ status: 1, signal: null });
    output = (error as { stdout: string }).stdout;
  }
  expect(output).toBe('2 1800\n');
});
