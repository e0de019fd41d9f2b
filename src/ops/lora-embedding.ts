/**
 * LoRA over a lookup: y = g ⊙ (E[ids] + Σ sᵢ·(Aᵢᵀ)[ids]·Bᵢᵀ), g = magnitude / ‖V‖ a column with DoRA, else 1. There is no
 * dropout: ids cannot be dropped. Called by `lora`.
 */
import {
  affineColumns,
  dotColumns,
  gatherColumns,
  gatherRows,
  gradientMatrix,
  scatterAddColumns,
} from '../engine/matrices.js';
import { type Matrix, matrix, weight as weightOf } from '../engine/operands.js';
import { gradB, hiddenGradient } from '../engine/skinny.js';
import type { BackwardContext } from '../tensor/tape.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkEmbedding, type EmbeddingSizes, tableGradient } from './embedding.js';
import { lowRankGradient, withTransposed } from './linear-products.js';
import { type Dora, type LoraTerm, withInverse } from './lora-terms.js';

/** The base's table, the row that gets no gradient, and the rows that the path is chosen for. */
export interface EmbeddingBase {
  /** [rows, dim] */
  readonly weight: Tensor;
  readonly paddingIdx: number | null;
  /** Default: the ids given. */
  readonly planRows?: number | undefined;
}

/**
 * @param ids - any shape, int32
 * @param terms - A [r, rows], B [dim, r]
 * @returns [..., dim]
 */
export function loraEmbedding(
  where: string,
  ids: Tensor,
  { weight, paddingIdx, planRows }: EmbeddingBase,
  terms: readonly LoraTerm[],
  dora: Dora | null,
): Tensor {
  const sizes = checkEmbedding(where, ids, weight, paddingIdx);
  const { rt, M, N, rows, dtype } = sizes;
  const { kernels } = rt.engine;
  return rt.attempt(() => {
    const y = rt.empty([...ids.shape, N], 'f32');
    const z = dora === null ? y : rt.empty([M, N], 'f32');
    gatherRows(kernels, ids.pointer, weightOf(weight.pointer, rows, N, dtype), matrix(z.pointer, M, N));
    const h = terms.map((term) => addTerm(sizes, ids, term, z, planRows ?? M));
    const g = dora === null ? null : rt.empty([N], 'f32');
    if (dora !== null && g !== null) {
      kernels.quotient(N, dora.magnitude.pointer, dora.norms.pointer, g.pointer);
      const [from, to] = [matrix(z.pointer, M, N), matrix(y.pointer, M, N)];
      affineColumns(kernels, { x: from, scale: g.pointer, shift: 0, y: to });
    }
    const [A, B] = [terms.map((term) => term.A), terms.map((term) => term.B)];
    rt.record(y, {
      name: where,
      inputs: { weight, magnitude: dora?.magnitude ?? null, A, B },
      keep: { ids, h, B, g, z: dora === null ? null : z, norms: dora?.norms ?? null },
      backward: (context) => backward(sizes, terms, dora !== null, context),
    });
    for (const tensor of [...h, ...(g === null ? [] : [g, z])]) tensor.dispose();
    return y;
  });
}

/** z += s·(Aᵀ)[ids]·Bᵀ; gives h = (Aᵀ)[ids]. */
function addTerm(
  { rt, M, N, rows }: EmbeddingSizes,
  ids: Tensor,
  { A, B, scaling }: LoraTerm,
  z: Tensor,
  planRows: number,
): Tensor {
  const r = B.shape[1]!;
  const h = rt.empty([M, r], 'f32');
  const left = matrix(h.pointer, M, r);
  gatherColumns(rt.engine.kernels, ids.pointer, matrix(A.pointer, r, rows), left);
  if (scaling !== 0)
    withTransposed(rt, matrix(B.pointer, N, r), scaling, (right) =>
      lowRankGradient(
        rt,
        { left, right },
        gradientMatrix({ pointer: z.pointer, accumulate: 1 }, M, N),
        planRows,
      ),
    );
  return h;
}

type Context = BackwardContext<
  { readonly [name in 'weight' | 'magnitude']: Tensor | null } & {
    readonly [name in 'A' | 'B']: readonly Tensor[];
  },
  { readonly [name in 'ids' | 'g' | 'z' | 'norms']: Tensor | null } & {
    readonly [name in 'h' | 'B']: readonly Tensor[];
  }
>;

function backward(
  sizes: EmbeddingSizes,
  terms: readonly LoraTerm[],
  isDora: boolean,
  context: Context,
): void {
  const { rt, M, N } = sizes;
  const { kernels } = rt.engine;
  const { at, grad } = context;
  const dy = matrix(context.dy.pointer, M, N);
  const scaled = isDora ? rt.empty([M, N], 'f32') : null;
  const dz = scaled === null ? dy : matrix(scaled.pointer, M, N);
  if (isDora) affineColumns(kernels, { x: dy, scale: at('g'), shift: 0, y: dz });
  const dm = grad('magnitude');
  if (dm !== null)
    withInverse(rt, N, at('norms'), (w) => dotColumns(kernels, dy, matrix(at('z'), M, N), w, dm));
  const dw = grad('weight');
  if (dw !== null) tableGradient(sizes, at('ids'), dz, dw);
  for (const [i, term] of terms.entries()) termGradients(sizes, term, i, context, dz);
  scaled?.dispose();
}

/** Gradients of the term's B and A, which gets them at the columns that the ids name. */
function termGradients(
  { rt, M, N, rows, skip }: EmbeddingSizes,
  { B, scaling: s }: LoraTerm,
  i: number,
  { at, grad }: Context,
  dz: Matrix,
): void {
  const { engine } = rt;
  const r = B.shape[1]!;
  const dB = grad('B', i);
  if (dB !== null) gradB(engine, { s, dy: dz, h: matrix(at('h', i), M, r), db: gradientMatrix(dB, N, r) });
  const dA = grad('A', i);
  if (dA === null) return;
  const hidden = rt.empty([M, r], 'f32');
  const u = matrix(hidden.pointer, M, r);
  hiddenGradient(engine, { s, dy: dz, b: matrix(at('B', i), N, r), u });
  if (dA.accumulate === 0) engine.kernels.fill(r * rows, 0, dA.pointer);
  scatterAddColumns(engine.kernels, at('ids'), skip, u, matrix(dA.pointer, r, rows));
  hidden.dispose();
}
