/** What the package promises of its kernels, held against the rows of a run: how many rows reach their share of the limit. */
import { type Goal, goalOf } from '../core/goal.js';
import { medianOf } from '../core/measure.js';
import type { Report } from '../core/records.js';
import type { KernelRow } from './suite.js';

interface Held {
  readonly goal: string;
  /** Percent of the limit that a row must reach. */
  readonly percent: number;
  readonly covers: (row: KernelRow) => boolean;
}

/** Forward as its products alone and with the low-rank term. */
function isForward({ operation }: KernelRow): boolean {
  return operation.startsWith('product');
}

const PROMISES: readonly Held[] = [
  {
    goal: 'products and fused LoRA, 64 rows and more',
    percent: 92,
    covers: (row) => row.group === 'M >= 64',
  },
  {
    goal: 'forward, 9 to 63 rows',
    percent: 80,
    covers: (row) => row.group === 'M 9-63' && isForward(row),
  },
  {
    goal: 'gradients, 9 to 63 rows',
    percent: 65,
    covers: (row) => row.group === 'M 9-63' && !isForward(row),
  },
  { goal: 'products, 1 to 8 rows', percent: 75, covers: (row) => row.group === 'M 1-8' },
  {
    goal: 'odd sizes, of the speed of their even neighbours',
    percent: 75,
    covers: (row) => row.group === 'odd sizes',
  },
  { goal: 'skinny products, ranks 1 to 64', percent: 100 / 1.5, covers: (row) => row.group === 'skinny' },
  {
    goal: 'optimisers and other vector kernels that reading bounds',
    percent: 75,
    covers: (row) => row.group === 'vector' && row.limitedBy === 'reading',
  },
];

/** Plain SIMD may meet the first promise by this share of the fused ceiling instead, where the two ceilings are close. */
const OF_FUSED = 70;

/** Whether a row reaches its promise; null for a row that no promise covers. */
export function reaches(row: KernelRow, fused: number | null): boolean | null {
  const promise = PROMISES.find(({ covers }) => covers(row));
  if (promise === undefined) return null;
  if (row.percentOfLimit >= promise.percent) return true;
  const plain = row.kernels === 'simd' && row.group === 'M >= 64' && fused !== null;
  return plain && (100 * row.gflops) / fused >= OF_FUSED;
}

/** Every promise with the row that is furthest below it: met where all of its rows are. */
export function kernelGoals({ rows, ceilings }: Pick<Report, 'rows' | 'ceilings'>): Goal[] {
  return PROMISES.map(({ goal, percent, covers }) => {
    const covered = (rows as KernelRow[]).filter(covers).sort((a, b) => a.percentOfLimit - b.percentOfLimit);
    const limit = `at least ${percent.toFixed(0)} % of the limit`;
    const [lowest] = covered;
    if (lowest === undefined) return goalOf(goal, limit, null);
    const met = covered.filter((row) => reaches(row, ceilings.fused) === true).length;
    const median = medianOf(covered.map(({ percentOfLimit }) => percentOfLimit));
    const worst = `lowest ${lowest.percentOfLimit.toFixed(0)} %: ${lowest.operation}, ${lowest.shape}`;
    const measured = `${met} of ${covered.length}; median ${median.toFixed(0)} %, ${worst}`;
    return goalOf(goal, limit, { measured, met: met === covered.length });
  });
}
