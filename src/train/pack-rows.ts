/** packRows and joinRows: several rows as one sequence, in which none sees another. What trains a language model calls them. */
import { checkInteger, describe } from '../values/checks.js';
import type { TokenRow } from './rows.js';

/** Rows behind each other in one sequence: what `causalLoss` takes. */
export interface PackedRow extends TokenRow {
  /** For each token the first one that it may see: where its row begins. */
  readonly starts: Int32Array<ArrayBuffer>;
  /** Each token's place in its row. */
  readonly positions: Int32Array<ArrayBuffer>;
}

/**
 * Puts rows into sequences of at most so many tokens: the longest first, each into the first sequence that has room. A sequence's
 * rows are in the order that they were given in, and so are the sequences, by their first rows.
 * @param length - tokens of a sequence at most
 * @throws TypeError, RangeError for a longer row
 * @example
 * const sequences = packRows(parseRows(text, { tokenizer }), 512);
 */
export function packRows(rows: readonly TokenRow[], length: number): PackedRow[] {
  const where = 'packRows';
  checkRows(where, rows);
  checkInteger(`${where}: length`, length, 1, 2 ** 24);
  const longer = rows.findIndex(({ ids }) => ids.length > length);
  if (longer >= 0)
    throw new RangeError(
      `${where}: row ${longer} has ${rows[longer]!.ids.length} tokens, expected ${length} at most`,
    );
  const bins: { left: number; readonly rows: number[] }[] = [];
  const order = [...rows.keys()].sort((a, b) => rows[b]!.ids.length - rows[a]!.ids.length || a - b);
  for (const row of order) {
    const size = rows[row]!.ids.length;
    const bin = bins.find(({ left }) => left >= size);
    if (bin === undefined) bins.push({ left: length - size, rows: [row] });
    else {
      bin.left -= size;
      bin.rows.push(row);
    }
  }
  const sorted = bins.map((bin) => bin.rows.sort((a, b) => a - b)).sort(([a = 0], [b = 0]) => a - b);
  return sorted.map((bin) => joinRows(bin.map((row) => rows[row]!)));
}

/** All of these rows as one sequence; packed ones keep their own rows apart. @throws TypeError, RangeError */
export function joinRows(rows: readonly (TokenRow | PackedRow)[]): PackedRow {
  checkRows('joinRows', rows);
  const total = rows.reduce((sum, { ids }) => sum + ids.length, 0);
  const [ids, labels] = [new Int32Array(total), new Int32Array(total)];
  const [starts, positions] = [new Int32Array(total), new Int32Array(total)];
  let at = 0;
  for (const row of rows) {
    ids.set(row.ids, at);
    labels.set(row.labels, at);
    const packed = 'starts' in row ? row : null;
    for (let i = 0; i < row.ids.length; i++) {
      starts[at + i] = at + (packed?.starts[i] ?? 0);
      positions[at + i] = packed?.positions[i] ?? i;
    }
    at += row.ids.length;
  }
  return { ids, labels, starts, positions };
}

/** @throws TypeError, RangeError */
function checkRows(where: string, rows: readonly TokenRow[]): void {
  if (!Array.isArray(rows) || rows.length === 0)
    throw new TypeError(`${where}: rows is ${describe(rows)}, expected at least one row`);
  for (const [i, row] of rows.entries()) {
    if (!(row?.ids instanceof Int32Array) || !(row.labels instanceof Int32Array))
      throw new TypeError(`${where}: row ${i} is ${describe(row)}, expected { ids, labels }, as Int32Arrays`);
    if (row.ids.length !== row.labels.length || row.ids.length === 0)
      throw new RangeError(
        `${where}: row ${i} has ${row.ids.length} ids and ${row.labels.length} labels, expected one each at least`,
      );
  }
}
