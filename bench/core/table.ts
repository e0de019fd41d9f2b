/** Figures, ranges and ceilings as text, for the printed tables and for those of the pages. */
import type { Range, Report } from './records.js';

/** Three digits that count. */
export function figure(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/** The median, and the range of the rounds' medians. */
export function rangeText({ median, min, max }: Omit<Range, 'rounds'>): string {
  return `${figure(median)} (${figure(min)}-${figure(max)})`;
}

/** A ratio with the range of the rounds' ratios. */
export function ratioText({ median, min, max }: Omit<Range, 'rounds'>, digits = 2): string {
  return `${median.toFixed(digits)} (${min.toFixed(digits)}-${max.toFixed(digits)})`;
}

export function ceilingsText({ ceilings }: Report): string {
  const fused = ceilings.fused === null ? 'not measured' : `${ceilings.fused.toFixed(1)} GFLOP/s`;
  const read = ceilings.readGBs === null ? '' : `, memory read ${ceilings.readGBs.toFixed(1)} GB/s`;
  return `ceilings: fused ${fused}, plain ${ceilings.plain.toFixed(1)} GFLOP/s${read}`;
}

/** An engine's column: its name and main version. */
export function headOf({ engine }: Report): string {
  return /^\S+ \d+/.exec(engine)?.[0] ?? engine;
}
