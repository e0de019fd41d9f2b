/** Rows and reports of fixed numbers. */
import type { Report, Row } from '../../bench/core/records.js';

/** @param rounds - milliseconds; the speed is 200 over their median */
export function rowOf(contestant: string, threads: number, rounds: number[], more: Partial<Row> = {}): Row {
  const sorted = [...rounds].sort((a, b) => a - b);
  const median = sorted[(sorted.length - 1) / 2]!;
  return {
    ...{ contestant, threads, rounds, median, min: sorted[0]!, max: sorted.at(-1)!, gflops: 200 / median },
    ...{ operation: 'linear forward', shape: 'M=256 N=768 K=768', kernels: 'simd' },
    ...{ percentOfCeiling: 50, endToEnd: null, ratio: null, flopRatio: null, ratioTo: null },
    ...more,
  };
}

export function reportOf(engine: string, rows: Row[]): Report {
  return {
    ...{ engine, rows, cpu: 'a CPU', command: 'a command', date: '2026-01-02', commit: '0123456789' },
    ceilings: { fused: 60, plain: 40, readGBs: null },
    notMeasured: [{ contestant: 'x', operation: 'every operation', reason: 'it is not here' }],
  };
}
