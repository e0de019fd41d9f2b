/** A kernel's row as text, for the terminal and the results' page. */
import { figure } from '../table.js';
import type { KernelRow } from './suite.js';

export const KERNEL_COLUMNS = [
  'group',
  'operation',
  'shape',
  'ms (range)',
  'GFLOP/s',
  'limit ms',
  'limited by',
  'reading alone, % of the time',
  '% of limit (range)',
] as const;

export function kernelCells(row: KernelRow): string[] {
  const [low, high] = row.percentRange;
  return [
    row.group,
    row.operation,
    row.shape,
    `${figure(row.median)} (${figure(row.min)}-${figure(row.max)})`,
    row.gflops.toFixed(1),
    figure(row.limitMs),
    row.limitedBy === 'reading' ? `reading, ${row.readGBs.toFixed(0)} GB/s` : row.limitedBy,
    row.readingPercent.toFixed(0),
    `${row.percentOfLimit.toFixed(0)} (${low.toFixed(0)}-${high.toFixed(0)})`,
  ];
}
