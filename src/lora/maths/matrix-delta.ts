/** Deltas and norms of a weight that is a matrix, stored [out, in] or turned over, as embeddings and fan-in-fan-out layers are. */

import { addColumnSquares, addProduct, affineColumns, affineRows, rowNorms } from '../../engine/matrices.js';
import { matrix } from '../../engine/operands.js';
import { elementsOf, expandElements } from '../../ops/expanded.js';
import { withTransposed } from '../../ops/linear-products.js';
import type { OutputRange } from '../../ops/lora-terms.js';
import type { Runtime } from '../../tensor/runtime.js';
import type { Tensor } from '../../tensor/tensor.js';
import { type LoraFactors, strengthOf } from './factors.js';

/** A matrix weight: N outputs, K inputs, and how it lies. */
export interface MatrixLayout {
  readonly rt: Runtime;
  readonly N: number;
  readonly K: number;
  /** Stored [K, N]. */
  readonly turned: boolean;
}

/** Rows of a weight that are worked on at a time, so that no second whole weight is made. */
const BLOCK = 256;

/** out = w + strength·B·A (turned over where the weight is); w may be 0 or out. */
export function addMatrixDelta(layout: MatrixLayout, factors: LoraFactors, w: number, out: number): void {
  const { rt, N, K } = layout;
  const { kernels } = rt.engine;
  if (w === 0) kernels.fill(N * K, 0, out);
  else if (w !== out) kernels.scale(N * K, 1, w, out);
  for (const range of rangesOf(layout, factors)) addRange(layout, factors, range, 0, K, out);
}

/** ‖w + strength·B·A‖ of every output, in blocks; w of any dtype of weights. */
export function matrixNorms(layout: MatrixLayout, factors: LoraFactors, w: Tensor, out: number): void {
  const { rt, N, K, turned } = layout;
  const { kernels } = rt.engine;
  const length = turned ? N : K;
  const rows = turned ? K : N;
  const block = rt.empty([Math.min(BLOCK, rows), length], 'f32');
  const sums = turned ? rt.full([2 * N], 0) : null;
  for (let from = 0; from < rows; from += BLOCK) {
    const n = Math.min(BLOCK, rows - from);
    expandElements(rt, elementsOf(w, from * length, n * length), block.pointer);
    if (turned) {
      addRange(layout, factors, { from: 0, size: N, rowA: 0, rowB: 0 }, from, n, block.pointer);
      addColumnSquares(kernels, matrix(block.pointer, n, N), sums!.pointer);
    } else {
      const { A, B } = factors;
      const r = B.shape[1]!;
      const [a, b] = [matrix(A.pointer, r, K), matrix(B.pointer + 4 * from * r, n, r)];
      const to = matrix(block.pointer, n, K);
      addProduct(kernels, { s: strengthOf(factors), b, a, w: to, out: to });
      rowNorms(kernels, to, out + 4 * from);
    }
  }
  if (sums !== null) kernels.rootOfSums(N, sums.pointer, out);
  sums?.dispose();
  block.dispose();
}

/** Multiplies every output of a weight by its g. */
export function scaleMatrixOutputs({ rt, N, K, turned }: MatrixLayout, g: number, weight: number): void {
  const { kernels } = rt.engine;
  const w = turned ? matrix(weight, K, N) : matrix(weight, N, K);
  (turned ? affineColumns : affineRows)(kernels, { x: w, scale: g, shift: 0, y: w });
}

interface FactorRange extends OutputRange {
  readonly rowA: number;
  readonly rowB: number;
}

function rangesOf({ N }: MatrixLayout, { B, ranges }: LoraFactors): FactorRange[] {
  const r = B.shape[1]!;
  let rowB = 0;
  return (ranges ?? [{ from: 0, size: N }]).map((range, i) => {
    const place = { ...range, rowA: i * r, rowB };
    rowB += range.size;
    return place;
  });
}

/** Adds one range's delta in place; a turned weight may be given as its rows `from` to `from + n` alone. */
function addRange(
  { rt, N, K, turned }: MatrixLayout,
  factors: LoraFactors,
  range: FactorRange,
  from: number,
  n: number,
  w: number,
): void {
  const { kernels } = rt.engine;
  const { A, B } = factors;
  const r = B.shape[1]!;
  const s = strengthOf(factors);
  const a = A.pointer + 4 * range.rowA * K;
  const b = matrix(B.pointer + 4 * range.rowB * r, range.size, r);
  if (!turned) {
    const out = matrix(w + 4 * range.from * K, range.size, K);
    addProduct(kernels, { s, b, a: matrix(a, r, K), w: out, out });
    return;
  }
  const out = matrix(w + 4 * range.from, n, range.size, N);
  withTransposed(rt, matrix(a + 4 * from, r, n, K), 1, (down) =>
    withTransposed(rt, b, 1, (up) => addProduct(kernels, { s, b: down, a: up, w: out, out })),
  );
}
