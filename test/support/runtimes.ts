/** One suite over every kernel build and with two threads: what the engine lacks is skipped visibly. */
import { afterAll, beforeAll, describe } from 'vitest';
import { relaxedSimd } from 'wasm-feature-detect';
import { createRuntime, type MemoryUse, type Runtime, type Tensor } from '../../src/index.js';

const relaxed = await relaxedSimd();

/** Shared memory can be sent to workers: in Node, and in a page that is cross-origin isolated, where the browser has it. */
export const canThread =
  typeof SharedArrayBuffer === 'function' && (!('document' in globalThis) || globalThis.crossOriginIsolated);

/** Runs `body` for each build, with one thread and with two that share work of any size; `rt()` is its runtime, inside tests. */
export function describeRuntimes(name: string, body: (rt: () => Runtime) => void): void {
  for (const kernels of ['simd', 'relaxed-simd'] as const) {
    for (const threads of [1, 2]) {
      const lacking = (kernels === 'relaxed-simd' && !relaxed) || (threads > 1 && !canThread);
      describe.skipIf(lacking)(`${name}, ${kernels}, threads ${threads}`, () => {
        let runtime: Runtime | null = null;
        beforeAll(async () => {
          runtime = await createRuntime({ kernels, threads, seed: 7 });
          const { pool } = runtime.engine.threading;
          if (pool !== null) pool.eager = true;
          if (runtime.info().threads !== threads) throw new Error(runtime.info().threadsReason);
        });
        afterAll(() => runtime?.dispose());
        body(() => runtime!);
      });
    }
  }
}

/** What memory is in use, whatever it once was: for states that must be as before. */
export function inUse(rt: Runtime): Omit<MemoryUse, 'peak'> {
  const { peak: _, ...use } = rt.memory();
  return use;
}

/** Largest absolute value of a tensor's gradient against central differences of `loss` in that tensor. */
export function gradientError(
  rt: Runtime,
  input: Tensor,
  loss: () => Tensor,
  step = 1e-2,
): { error: number; largest: number } {
  input.grad?.dispose();
  input.grad = null;
  rt.scope(() => loss().backward());
  const gradient = input.grad === null ? new Float32Array(input.size) : (input.grad as Tensor).toArray();
  const values = input.toArray();
  const at = (i: number, value: number): number => {
    input.set(values.map((v, j) => (j === i ? value : v)));
    return rt.scope(() => rt.noGrad(() => loss().item()));
  };
  let error = 0;
  let largest = 0;
  for (let i = 0; i < input.size; i++) {
    const difference = (at(i, values[i]! + step) - at(i, values[i]! - step)) / (2 * step);
    error = Math.max(error, Math.abs(difference - gradient[i]!));
    largest = Math.max(largest, Math.abs(difference));
  }
  input.set(values);
  return { error, largest };
}
