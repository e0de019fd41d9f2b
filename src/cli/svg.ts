/** What a chart in plain SVG is written with; the charts of losses and of benchmarks are. */

/** A tenth of a pixel is enough. */
export function fixed(value: number): string {
  return String(Math.round(value * 10) / 10);
}

export function escaped(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}

export function line(kind: string, x1: number, y1: number, x2: number, y2: number): string {
  return `<line class="${kind}" x1="${fixed(x1)}" y1="${fixed(y1)}" x2="${fixed(x2)}" y2="${fixed(y2)}"/>`;
}

/** 1, 2 or 5 times a power of ten: at most eight steps up to `top`. */
export function tickStep(top: number): number {
  const power = 10 ** Math.floor(Math.log10(top / 8));
  return power * [1, 2, 5, 10].find((factor) => power * factor * 8 >= top)!;
}

/** A page without a background, readable on light and on dark ones. */
export function svg(
  width: number,
  height: number,
  title: string,
  style: string,
  parts: readonly string[],
): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<style>${style}</style>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}
