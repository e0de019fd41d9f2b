/** Rows and ceilings as text, for the printed tables and for those of the pages. */
import { PACKAGE, type Range, type Report, type Row } from './records.js';

export const COLUMNS = [
  'shape',
  'operation',
  'kernel ms (range)',
  'end to end ms',
  'GFLOP/s',
  '% of ceiling',
  'time ratio',
  'flop ratio',
] as const;

export function cellsOf(row: Row): string[] {
  return [
    row.shape,
    row.contestant === PACKAGE ? row.operation : `${row.contestant}, ${row.operation}`,
    rangeText(row),
    row.endToEnd === null ? '' : figure(row.endToEnd.median),
    row.gflops.toFixed(1),
    row.percentOfCeiling === null ? '' : row.percentOfCeiling.toFixed(0),
    row.ratio === null ? '' : row.ratio.toFixed(3),
    row.flopRatio === null ? '' : row.flopRatio.toFixed(3),
  ];
}

/** Three digits that count. */
export function figure(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/** The median, and the range of the rounds' medians. */
export function rangeText({ median, min, max }: Pick<Range, 'median' | 'min' | 'max'>): string {
  return `${figure(median)} (${figure(min)}-${figure(max)})`;
}

/** A ratio with the range of the rounds' ratios. */
export function ratioText({ median, min, max }: Pick<Range, 'median' | 'min' | 'max'>, digits = 2): string {
  return `${median.toFixed(digits)} (${min.toFixed(digits)}-${max.toFixed(digits)})`;
}

export function ceilingsText({ ceilings }: Report): string {
  const fused = ceilings.fused === null ? 'not measured' : `${ceilings.fused.toFixed(1)} GFLOP/s`;
  const read = ceilings.readGBs === null ? '' : `, memory read ${ceilings.readGBs.toFixed(1)} GB/s`;
  return `ceilings: fused ${fused}, plain ${ceilings.plain.toFixed(1)} GFLOP/s${read}`;
}
