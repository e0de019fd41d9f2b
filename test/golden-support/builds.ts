/** Runs a golden case once on every kernel build that this engine has, each with a runtime of its own. */
import { readFileSync } from 'node:fs';
import { createRuntime, type Runtime } from 'lora-wasm';
import { relaxedSimd } from 'wasm-feature-detect';

export async function onEveryBuild(check: (rt: Runtime) => void | Promise<void>): Promise<void> {
  const debug = readFileSync(new URL('../../build/debug.wasm', import.meta.url));
  const builds: [string, () => Promise<Runtime>][] = [
    ['simd', () => createRuntime({ kernels: 'simd', threads: 1 })],
    ['simd on two threads', () => createRuntime({ kernels: 'simd', threads: 2 })],
    ['debug', () => createRuntime({ kernels: 'simd', wasm: new Uint8Array(debug) })],
  ];
  if (await relaxedSimd()) builds.push(['relaxed-simd', () => createRuntime({ kernels: 'relaxed-simd' })]);
  for (const [name, create] of builds) {
    const rt = await create();
    try {
      await check(rt);
    } catch (error) {
      if (error instanceof Error) error.message = `${name} build: ${error.message}`;
      throw error;
    } finally {
      rt.dispose();
    }
  }
}

/** Runs a case that takes long once, on the build that a program would get. */
export async function onBestBuild(check: (rt: Runtime) => void | Promise<void>): Promise<void> {
  const rt = await createRuntime();
  try {
    await check(rt);
  } finally {
    rt.dispose();
  }
}
