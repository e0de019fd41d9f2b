/**
 * LoRA over a lookup: y = g ⊙ (E[ids] + Σ sᵢ·(Aᵢᵀ)[ids]·Bᵢᵀ), g = magnitude / ‖V‖ a column with DoRA, else 1. There is no
 * dropout: ids cannot be dropped. Called by `lora`.
 */
import type { Tensor } from '../tensor/tensor.js';
import { checkEmbedding } from './embedding.js';
import { withTransposed } from './linear-products.js';
import { addressOf, type Dora, type LoraTerm, withInverse } from './lora-terms.js';

const FACTORS = 2;

/**
 * @param ids - any shape, int32
 * @param weight - [rows, dim]
 * @param terms - A [r, rows], B [dim, r]
 * @returns [..., dim]
 */
export function loraEmbedding(
  where: string,
  ids: Tensor,
  weight: Tensor,
  paddingIdx: number | null,
  terms: readonly LoraTerm[],
  dora: Dora | null,
  planRows?: number,
): Tensor {
  const { rt, M, N, rows, skip } = checkEmbedding(where, ids, weight, paddingIdx);
  const { kernels, products } = rt.engine;
  return rt.attempt(() => {
    const make = (shape: readonly number[]): Tensor => rt.empty(shape, 'f32');
    const y = rt.empty([...ids.shape, N], 'f32');
    const z = dora === null ? y : make([M, N]);
    kernels.gatherRows(M, N, ids.pointer, weight.pointer, N, z.pointer, N);
    const hidden = terms.map(({ A, B, scaling }) => {
      const r = B.shape[1]!;
      const h = make([M, r]);
      kernels.gatherColumns(M, r, ids.pointer, A.pointer, rows, h.pointer, r);
      if (scaling !== 0)
        withTransposed(
          ...([rt, N, r, B.pointer, r] as const),
          (b) =>
            products.backwardInput(
              M,
              0,
              N,
              r,
              0,
              0,
              0,
              N,
              h.pointer,
              r,
              b,
              N,
              1,
              z.pointer,
              N,
              planRows ?? M,
            ),
          scaling,
        );
      return h;
    });
    const g = dora === null ? null : make([N]);
    if (dora !== null && g !== null) {
      kernels.quotient(N, dora.magnitude.pointer, dora.norms.pointer, g.pointer);
      kernels.affineColumns(M, N, z.pointer, N, g.pointer, 0, y.pointer, N);
    }

    const idsAt = addressOf(ids);
    const bAt = terms.map(({ B }) => addressOf(B));
    const hAt = hidden.map(addressOf);
    const [gAt, zAt] = [g === null ? null : addressOf(g), addressOf(z)];
    const normsAt = dora === null ? null : addressOf(dora.norms);
    rt.record(y, {
      name: where,
      inputs: [weight, dora?.magnitude ?? null, ...terms.flatMap(({ A, B }) => [A, B])],
      saved: [
        ...[ids, ...hidden, ...terms.map(({ B }) => B)],
        ...(dora === null || g === null ? [] : [g, z, dora.norms]),
      ],
      backward: ({ dy, target, wants }) => {
        const dz = gAt === null ? dy : rt.empty([M, N], 'f32');
        if (gAt !== null) kernels.affineColumns(M, N, dy.pointer, N, gAt(), 0, dz.pointer, N);
        const dm = target(1);
        if (dm !== null && normsAt !== null)
          withInverse(rt, N, normsAt(), (w) =>
            kernels.dotColumns(M, N, dy.pointer, N, zAt(), N, w, dm.accumulate, dm.pointer),
          );
        const dw = target(0);
        if (dw !== null) {
          if (dw.accumulate === 0) kernels.fill(rows * N, 0, dw.pointer);
          kernels.scatterAddRows(M, N, idsAt(), skip, dz.pointer, N, dw.pointer, N);
        }
        for (const [i, { A, B, scaling }] of terms.entries()) {
          const r = B.shape[1]!;
          const dB = target(FACTORS + 2 * i + 1);
          if (dB !== null)
            kernels.loraGradB(
              M,
              N,
              r,
              scaling,
              dz.pointer,
              N,
              hAt[i]!(),
              r,
              dB.accumulate,
              dB.pointer,
              r,
              rt.engine.scratch(4 * N * r),
            );
          if (!wants(FACTORS + 2 * i)) continue;
          const u = rt.empty([M, r], 'f32');
          kernels.loraBackwardHidden(
            M,
            N,
            r,
            scaling,
            dz.pointer,
            N,
            bAt[i]!(),
            r,
            u.pointer,
            r,
            rt.engine.scratch(4 * N * r),
          );
          const dA = target(FACTORS + 2 * i)!;
          if (dA.accumulate === 0) kernels.fill(A.size, 0, dA.pointer);
          kernels.scatterAddColumns(M, r, idsAt(), skip, u.pointer, r, dA.pointer, rows);
          u.dispose();
        }
        if (dz !== dy) dz.dispose();
      },
    });
    for (const tensor of [...hidden, ...(g === null ? [] : [g]), ...(z === y ? [] : [z])]) tensor.dispose();
    return y;
  });
}
