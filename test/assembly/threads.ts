/**
 * Kernels whose products two threads share, whatever their size and path, so that the kernel suites also test the cuts. A
 * kernel that no thread may share stays as it is.
 */
import type { Kernels } from '../../src/runtime/abi.js';
import { backwardInputJob, backwardWeightJob, forwardJob, type Job } from '../../src/runtime/jobs.js';
import { grainOf, planBackwardWeight } from '../../src/runtime/plan.js';
import { startPool } from '../../src/runtime/pool/start.js';
import { cutOutput } from '../../src/runtime/split.js';

/** What the tallest tile, six rows, needs of scratch, at any size. */
const SCRATCH = planBackwardWeight(1, 66, 1, 1).scratchBytes;
const THREADS = 2;

/** @param scratch - address of memory for the scratch of two threads */
export async function shareProducts(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  kernels: Kernels,
  scratch: number,
): Promise<Kernels> {
  const pool = await startPool({ module, memory, kernels }, THREADS);
  if (typeof pool === 'string') throw new Error(`shareProducts: ${pool}`);
  const share = (path: number, job: Job): void => {
    const { kernel, rows, columns } = job;
    const parts = cutOutput(rows, columns, grainOf(path), THREADS);
    const whole = { row: 0, rows, column: 0, columns };
    const shares = (parts.length === 0 ? [whole] : parts).map((part) => job.share(part, scratch));
    pool.run(kernel, shares, SCRATCH, 0);
  };
  return {
    ...kernels,
    linearForward: (...[path, ...rest]) => share(path, forwardJob(path, ...front(rest))),
    linearBackwardInput: (...[path, ...rest]) => share(path, backwardInputJob(path, ...front(rest))),
    linearBackwardWeight: (...[path, ...rest]) => share(path, backwardWeightJob(path, ...front(rest))),
  };
}

/** A list without its last element, the test's own scratch. */
function front<Front extends number[]>(list: [...Front, number]): Front {
  return list.slice(0, -1) as Front;
}
