/**
 * What the LoRA operations share: one adapter's part in an operation, its dropped input, and how the ranks of several
 * adapters, or of one adapter's output ranges, lie side by side in one product.
 */
import { scaleTo } from '../engine/matrices.js';
import { columnsOf, type Matrix, matrix } from '../engine/operands.js';
import type { Runtime } from '../tensor/runtime.js';
import type { GradTarget } from '../tensor/tape.js';
import type { Tensor } from '../tensor/tensor.js';
import { type MaskPlace, masked as maskedTo } from './dropout.js';
import type { OutputRange } from './linear-products.js';

export type { OutputRange } from './linear-products.js';

/** One adapter's part in an operation. */
export interface LoraTerm {
  /** [r, in]; with `ranges` [r·ranges, in], one block of r rows a range. */
  readonly A: Tensor;
  /** [out, r]; with `ranges` [Σ sizes, r]. */
  readonly B: Tensor;
  /** [out]: the bias of lora_B, scaled as the rest; or null. */
  readonly bias: Tensor | null;
  readonly scaling: number;
  /** Probability with which an element of x is dropped on this branch; 0 outside training. */
  readonly dropout: number;
  readonly mask: MaskPlace;
  /** The outputs that are adapted, in order; null for all. */
  readonly ranges: readonly OutputRange[] | null;
}

/** DoRA's magnitude [out] and the norms [out] it is divided by. */
export interface Dora {
  readonly magnitude: Tensor;
  readonly norms: Tensor;
}

/** A block of ranks: a whole adapter, or one range of it. */
export interface Part extends OutputRange {
  /** Place of the adapter among the operation's terms. */
  readonly term: number;
  readonly r: number;
  /** First column in the stacked ranks. */
  readonly column: number;
  /** First row in the adapter's A and B. */
  readonly rowA: number;
  readonly rowB: number;
}

/** The ranks of all terms side by side: the parts, term by term, and the number of ranks. */
export function stackParts(terms: readonly LoraTerm[], N: number): { parts: Part[]; R: number } {
  const parts: Part[] = [];
  let R = 0;
  for (let term = 0; term < terms.length; term++) {
    const { B, ranges } = terms[term]!;
    const r = B.shape[1]!;
    let [rowA, rowB] = [0, 0];
    for (const { from, size } of ranges ?? [{ from: 0, size: N }]) {
      parts.push({ term, from, size, r, column: R, rowA, rowB });
      rowA += r;
      rowB += size;
      R += r;
    }
  }
  return { parts, R };
}

/** Outputs that the same parts cover. */
export interface Piece extends OutputRange {
  readonly parts: readonly Part[];
}

/** The outputs cut where a part begins or ends, each piece with the parts that cover it. */
export function pieces(parts: readonly Part[], N: number): Piece[] {
  if (parts.every(({ size }) => size === N)) return [{ from: 0, size: N, parts }];
  const cuts = [...new Set([0, N, ...parts.flatMap(({ from, size }) => [from, from + size])])].sort(
    (a, b) => a - b,
  );
  return cuts.slice(0, -1).map((from, i) => ({
    from,
    size: cuts[i + 1]! - from,
    parts: parts.filter((part) => part.from <= from && from < part.from + part.size),
  }));
}

/** Gives `use` m(x): x itself, or a temporary with the mask applied. */
export function withMasked(rt: Runtime, term: LoraTerm, x: Matrix, use: (masked: Matrix) => void): void {
  if (term.dropout === 0) {
    use(x);
    return;
  }
  const masked = rt.empty([x.rows, x.columns], 'f32');
  drop(rt, term, x.rows * x.columns, x.pointer, { pointer: masked.pointer, accumulate: 0 });
  use(matrix(masked.pointer, x.rows, x.columns));
  masked.dispose();
}

/** y (+)= x·mask/(1 - p) over n elements: the term's mask, the same at every call. */
export function drop(rt: Runtime, term: LoraTerm, n: number, x: number, y: GradTarget): void {
  maskedTo(rt, { p: term.dropout, mask: term.mask }, n, x, y);
}

/** The columns of a stacked matrix [rows, R] that belong to `parts`, side by side: in place where they are neighbours, else copied. */
export function withColumnsOf(
  rt: Runtime,
  parts: readonly Part[],
  stacked: Matrix,
  use: (left: Matrix) => void,
): void {
  const first = parts[0]?.column ?? 0;
  let rank = 0;
  let neighbours = true;
  for (const { column, r } of parts) {
    if (column !== first + rank) neighbours = false;
    rank += r;
  }
  if (neighbours) {
    use(rank === 0 ? matrix(0, stacked.rows, 0) : columnsOf(stacked, first, rank));
    return;
  }
  const copy = rt.empty([stacked.rows, rank], 'f32');
  const to = matrix(copy.pointer, stacked.rows, rank);
  let column = 0;
  for (const part of parts) {
    scaleTo(rt.engine.kernels, 1, columnsOf(stacked, part.column, part.r), columnsOf(to, column, part.r));
    column += part.r;
  }
  use(to);
  copy.dispose();
}

/** The A rows of `parts` one under the other, [Σ r, K]: in place for one term's neighbours, else copied. `A` has each term's. */
export function withRowsOf(
  rt: Runtime,
  parts: readonly Part[],
  A: (term: number) => number,
  K: number,
  use: (right: Matrix) => void,
): void {
  const at = parts.map(({ term, rowA }) => A(term) + 4 * rowA * K);
  let rows = 0;
  let neighbours = true;
  for (let i = 0; i < parts.length; i++) {
    if (at[i] !== at[0]! + 4 * rows * K) neighbours = false;
    rows += parts[i]!.r;
  }
  if (neighbours) {
    use(matrix(at[0] ?? 0, rows, K));
    return;
  }
  const stack = rt.empty([rows, K], 'f32');
  let row = 0;
  for (const [i, { r }] of parts.entries()) {
    rt.engine.kernels.scale(r * K, 1, at[i]!, stack.pointer + 4 * row * K);
    row += r;
  }
  use(matrix(stack.pointer, rows, K));
  stack.dispose();
}

/** The scaled B of a piece's parts side by side, [size, R]: a temporary to dispose of. */
export function scaledB(
  rt: Runtime,
  { parts, from, size }: Piece,
  terms: readonly LoraTerm[],
  R: number,
): Tensor {
  const b = rt.empty([size, R], 'f32');
  const to = matrix(b.pointer, size, R);
  let column = 0;
  for (const part of parts) {
    const { B, scaling } = terms[part.term]!;
    const { r } = part;
    const rows = matrix(B.pointer + 4 * (part.rowB + from - part.from) * r, size, r);
    scaleTo(rt.engine.kernels, scaling, rows, columnsOf(to, column, r));
    column += r;
  }
  return b;
}

/** bias + Σ scaling·term.bias over N outputs, a temporary to dispose of; the bias itself where no term has one. */
export function totalBias(
  rt: Runtime,
  N: number,
  bias: Tensor | null,
  terms: readonly LoraTerm[],
): Tensor | null {
  const own = terms.filter((term) => term.bias !== null && term.scaling !== 0);
  if (own.length === 0) return bias;
  const { kernels } = rt.engine;
  const total = rt.empty([N], 'f32');
  if (bias === null) kernels.fill(N, 0, total.pointer);
  else kernels.scale(N, 1, bias.pointer, total.pointer);
  for (const term of own) kernels.axpy(N, term.scaling, term.bias!.pointer, total.pointer);
  return total;
}

/** y (+)= s·x over n elements: a gradient that is another one scaled. */
export function addScaled(rt: Runtime, n: number, s: number, x: number, y: GradTarget): void {
  const { kernels } = rt.engine;
  if (y.accumulate === 0) kernels.scale(n, s, x, y.pointer);
  else kernels.axpy(n, s, x, y.pointer);
}

/** Gives `use` the address of 1/norms over N outputs, 0 where a norm is 0: the gradient of DoRA's magnitude in y/g. */
export function withInverse(rt: Runtime, N: number, norms: number, use: (inverse: number) => void): void {
  const { kernels } = rt.engine;
  const inverse = rt.full([N], 1);
  kernels.quotient(N, inverse.pointer, norms, inverse.pointer);
  use(inverse.pointer);
  inverse.dispose();
}
