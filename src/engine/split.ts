/**
 * Cutting an output matrix into shares for threads: along its longer side, never along the summed dimension, in whole tiles.
 * An element's order of summation is the path's, so bits do not depend on the cut. Called by `products.ts`.
 */

/** A share: rows from `row`, columns from `column` of the output. */
export interface Share {
  readonly row: number;
  readonly rows: number;
  readonly column: number;
  readonly columns: number;
}

/** Rows and columns that a cut keeps together: whole tiles, and whole cache lines of columns where tiles allow. */
export interface Grain {
  readonly rows: number;
  readonly columns: number;
}

/** Ranges of whole grains that cover 0 to size, nearly equal, at most `parts`. */
export function cut(size: number, grain: number, parts: number): { from: number; count: number }[] {
  const grains = Math.ceil(size / grain);
  const ranges: { from: number; count: number }[] = [];
  let from = 0;
  for (let part = 1; part <= parts; part++) {
    const to = Math.min(size, Math.round((grains * part) / parts) * grain);
    if (to > from) ranges.push({ from, count: to - from });
    from = to;
  }
  return ranges;
}

/**
 * Shares of an output of `rows` by `columns`. The longer side is cut: what each thread packs again is then the shorter
 * operand.
 */
export function cutOutput(rows: number, columns: number, grain: Grain, parts: number): Share[] {
  if (rows > columns) {
    return cut(rows, grain.rows, parts).map(({ from, count }) => ({
      row: from,
      rows: count,
      column: 0,
      columns,
    }));
  }
  return cut(columns, grain.columns, parts).map(({ from, count }) => ({
    row: 0,
    rows,
    column: from,
    columns: count,
  }));
}
