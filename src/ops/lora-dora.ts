/**
 * DoRA over a linear layer (Liu et al., arXiv 2402.09353): y = m̃(x)·(g ⊙ V)ᵀ + b, V = W + s·B·A, g = magnitude / ‖V‖ an
 * output, the norm a constant in backward (section 4.3). With dropout the base keeps the whole x: y = (x - x̃)·Wᵀ +
 * g ⊙ (x̃·Vᵀ) + b, x̃ the dropped x, which is PEFT's form. Called by `lora`.
 */
import type { Tensor } from '../tensor/tensor.js';
import { checkLinear, type LinearLayout } from './linear.js';
import { inputGradient, NO_RANK, outputs, weightGradient } from './linear-products.js';
import { addressOf, drop, type LoraTerm, withInverse, withMasked } from './lora-terms.js';

/**
 * @param magnitude - [out]
 * @param norms - [out]: ‖V‖ of every output
 * @returns [..., out]
 */
export function doraLinear(
  where: string,
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  term: LoraTerm,
  magnitude: Tensor,
  norms: Tensor,
  layout: LinearLayout = {},
): Tensor {
  const sizes = checkLinear(where, x, weight, bias, layout);
  const { rt, M, N, K } = sizes;
  const { kernels } = rt.engine;
  const { A, B, scaling } = term;
  const r = B.shape[1]!;
  return rt.attempt(() => {
    const make = (shape: readonly number[]): Tensor => rt.empty(shape, 'f32');
    const [g, h, z, b] = [make([N]), make([M, r]), make([M, N]), make([N, r])];
    kernels.quotient(N, magnitude.pointer, norms.pointer, g.pointer);
    kernels.loraScaleB(N, r, scaling, B.pointer, r, b.pointer, r);
    withMasked(rt, term, M * K, x.pointer, (masked) => {
      kernels.loraDown(M, K, r, masked, K, A.pointer, K, h.pointer, r);
      const low = { R: r, left: h.pointer, ldl: r, right: b.pointer, ldr: r };
      outputs(sizes, 0, N, { x: masked, w: weight.pointer, bias: 0, y: z.pointer }, low);
    });
    b.dispose();
    const y = rt.empty([...x.shape.slice(0, -1), N], 'f32');
    kernels.affineColumns(M, N, z.pointer, N, g.pointer, bias?.pointer ?? 0, y.pointer, N);
    if (term.dropout > 0) {
      const [rest, whole] = [make([M, K]), make([M, N])];
      dropped(rest);
      outputs(sizes, 0, N, { x: rest.pointer, w: weight.pointer, bias: 0, y: whole.pointer }, NO_RANK);
      kernels.axpy(M * N, 1, whole.pointer, y.pointer);
      rest.dispose();
      whole.dispose();
    }
    /** x - x̃: what the mask took away. */
    function dropped(rest: Tensor, from = x.pointer): void {
      drop(rt, term, M * K, from, 0, rest.pointer);
      kernels.sub(M * K, from, rest.pointer, rest.pointer);
    }

    const at = [x, weight, A, B, magnitude, norms, g, h, z].map(addressOf);
    rt.record(y, {
      name: where,
      inputs: [x, weight, bias, A, B, magnitude],
      saved: [x, weight, A, B, norms, g, h, z],
      backward: ({ dy, target, wants }) => {
        const [xp, wp, ap, bp, , np, gp, hp, zp] = at.map((address) => address()) as [
          ...[number, number, number, number, number],
          ...[number, number, number, number],
        ];
        const dm = target(5);
        if (dm !== null)
          withInverse(rt, N, np, (w) =>
            kernels.dotColumns(M, N, dy.pointer, N, zp, N, w, dm.accumulate, dm.pointer),
          );
        const db = target(2);
        if (db !== null) kernels.sumRows(M, N, dy.pointer, N, db.accumulate, db.pointer);
        const dz = rt.empty([M, N], 'f32');
        kernels.affineColumns(M, N, dy.pointer, N, gp, 0, dz.pointer, N);
        const dB = target(4);
        if (dB !== null)
          kernels.loraGradB(
            M,
            N,
            r,
            scaling,
            dz.pointer,
            N,
            hp,
            r,
            dB.accumulate,
            dB.pointer,
            r,
            rt.engine.scratch(4 * N * r),
          );
        const u = rt.empty([M, r], 'f32');
        if (wants(0) || wants(3))
          kernels.loraBackwardHidden(
            M,
            N,
            r,
            scaling,
            dz.pointer,
            N,
            bp,
            r,
            u.pointer,
            r,
            rt.engine.scratch(4 * N * r),
          );
        const dA = target(3);
        const dw = target(1);
        if (dA !== null || dw !== null)
          withMasked(rt, term, M * K, xp, (masked) => {
            if (dA !== null)
              kernels.loraGradA(M, K, r, u.pointer, r, masked, K, dA.accumulate, dA.pointer, K);
            if (dw !== null) weightGradient(sizes, dz.pointer, masked, dw.accumulate, dw.pointer);
          });
        if (dw !== null && term.dropout > 0) {
          const rest = rt.empty([M, K], 'f32');
          dropped(rest, xp);
          weightGradient(sizes, dy.pointer, rest.pointer, 1, dw.pointer);
          rest.dispose();
        }
        const dx = target(0);
        if (dx !== null) {
          const low = { R: r, left: u.pointer, ldl: r, right: ap, ldr: K };
          if (term.dropout === 0) inputGradient(sizes, dz.pointer, wp, low, dx.accumulate, dx.pointer);
          else {
            // dx = dy·W + mask ⊙ (dz·V - dy·W)
            const [whole, branch] = [rt.empty([M, K], 'f32'), rt.empty([M, K], 'f32')];
            inputGradient(sizes, dy.pointer, wp, NO_RANK, 0, whole.pointer);
            inputGradient(sizes, dz.pointer, wp, low, 0, branch.pointer);
            kernels.sub(M * K, branch.pointer, whole.pointer, branch.pointer);
            if (dx.accumulate === 0) kernels.scale(M * K, 1, whole.pointer, dx.pointer);
            else kernels.axpy(M * K, 1, whole.pointer, dx.pointer);
            drop(rt, term, M * K, branch.pointer, 1, dx.pointer);
            whole.dispose();
            branch.dispose();
          }
        }
        u.dispose();
        dz.dispose();
      },
    });
    for (const tensor of [g, h, z]) tensor.dispose();
    return y;
  });
}
