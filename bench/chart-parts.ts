/** What the charts share: lines and texts of an SVG, the ticks of an axis, a row's range of speeds. */
import type { Row } from './records.js';

/** The classes that every chart's style gives a look. */
export function line(kind: string, x1: number, y1: number, x2: number, y2: number): string {
  return `<line class="${kind}" x1="${fixed(x1)}" y1="${fixed(y1)}" x2="${fixed(x2)}" y2="${fixed(y2)}"/>`;
}

/** A tenth of a pixel is enough. */
export function fixed(value: number): string {
  return String(Math.round(value * 10) / 10);
}

export function escaped(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}

/** 1, 2 or 5 times a power of ten: at most eight steps up to `top`. */
export function tickStep(top: number): number {
  const power = 10 ** Math.floor(Math.log10(top / 8));
  return power * [1, 2, 5, 10].find((factor) => power * factor * 8 >= top)!;
}

/** Smallest and largest GFLOP/s: the times' range turned round. */
export function speedRange({ gflops, median, min, max }: Row): { low: number; high: number } {
  return { low: (gflops * median) / max, high: (gflops * median) / min };
}
