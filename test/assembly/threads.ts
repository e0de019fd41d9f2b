/**
 * Products that two threads share, whatever their size and path, so that the kernel suites also test the cuts.
 */
import type { Kernels } from '../../src/engine/abi.js';
import type { Call } from '../../src/engine/calls.js';
import { grainOf } from '../../src/engine/plan.js';
import { startPool } from '../../src/engine/pool/start.js';
import { HOST } from '../../src/engine/pool/threads.js';
import { cutOutput } from '../../src/engine/split.js';

export const THREADS = 2;

/** Makes a call: the kernel over all of it, or over shares; scratch of `bytes` for each thread lies at `scratch`. */
export type RunCall = (path: number, call: Call, scratch: number, bytes: number) => void;

export async function shareProducts(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  kernels: Kernels,
): Promise<RunCall> {
  const pool = await startPool(HOST, { module, memory, kernels }, THREADS);
  if (typeof pool === 'string') throw new Error(`shareProducts: ${pool}`);
  return (path, { kernel, output, share }, scratch, bytes) => {
    const { rows, columns } = output;
    const parts = cutOutput(rows, columns, grainOf(path), THREADS);
    const whole = { row: 0, rows, column: 0, columns };
    const shares = (parts.length === 0 ? [whole] : parts).map((part) => share(part, scratch));
    pool.run(kernel, shares, bytes, 0);
  };
}
