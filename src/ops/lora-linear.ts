/**
 * The fused LoRA operation y = x·Wᵀ + b + Σ sᵢ·((mᵢ(x)·Aᵢᵀ)·Bᵢᵀ + bᵢ) over the active adapters i, mᵢ their dropout. The
 * ranks of all adapters lie side by side: one product, continued over the stacked ranks, writes y once; an adapter of some
 * outputs only (fused projections) continues only the products of those. Called by `lora`.
 */
import type { BackwardContext } from '../tensor/tape.js';
import type { Tensor } from '../tensor/tensor.js';
import { backwardWeightAndBias, checkLinear, type LinearLayout } from './linear.js';
import { inputGradient, type LinearSizes, lowRankGradient, outputs } from './linear-products.js';
import {
  addressOf,
  drop,
  type LoraTerm,
  type Part,
  pieces,
  stackParts,
  totalBias,
  withColumnsOf,
  withMasked,
  withRowsOf,
} from './lora-terms.js';

/** Place of a term's A among the inputs; B follows, then its bias. */
const FACTORS = 3;
const PER_TERM = 3;

/**
 * @param x - [..., in] float32
 * @param weight - [out, in], or [in, out] with `layout.fanInFanOut`
 * @param bias - [out] or null
 * @param terms - at least one
 * @returns [..., out]
 */
export function loraLinear(
  where: string,
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  terms: readonly LoraTerm[],
  layout: LinearLayout = {},
): Tensor {
  const sizes = checkLinear(where, x, weight, bias, layout);
  const { rt, M, N, K } = sizes;
  const { kernels } = rt.engine;
  const { parts, R } = stackParts(terms, N);
  const y = rt.empty([...x.shape.slice(0, -1), N], 'f32');
  const h = rt.empty([M, R], 'f32');
  for (const [i, term] of terms.entries()) {
    withMasked(rt, term, M * K, x.pointer, (masked) => {
      for (const { r, column, rowA } of parts.filter((part) => part.term === i))
        kernels.loraDown(M, K, r, masked, K, term.A.pointer + 4 * rowA * K, K, h.pointer + 4 * column, R);
    });
  }
  // A scale of 0 leaves the base's own bits, whatever the factors hold.
  const used = parts.filter(({ term }) => terms[term]!.scaling !== 0);
  const shift = totalBias(rt, N, bias, terms);
  const at = { x: x.pointer, w: weight.pointer, bias: shift?.pointer ?? 0, y: y.pointer };
  for (const piece of pieces(used, N)) {
    withColumnsOf(rt, piece.parts, M, h.pointer, R, (left) => {
      const b = rt.empty([piece.size, left.R], 'f32');
      let column = 0;
      for (const { term, r, from, rowB } of piece.parts) {
        const { B, scaling } = terms[term]!;
        const rows = B.pointer + 4 * (rowB + piece.from - from) * r;
        kernels.loraScaleB(piece.size, r, scaling, rows, r, b.pointer + 4 * column, left.R);
        column += r;
      }
      outputs(sizes, piece.from, piece.size, at, { ...left, right: b.pointer, ldr: left.R });
      b.dispose();
    });
  }
  if (shift !== bias) shift?.dispose();

  const factors = terms.flatMap(({ A, B }) => [A, B]);
  const needsX = weight.requiresGrad || terms.some(({ A }) => A.requiresGrad);
  rt.record(y, {
    name: where,
    inputs: [x, weight, bias, ...terms.flatMap(({ A, B, bias: own }) => [A, B, own])],
    saved: [h, ...(needsX ? [x] : []), ...(x.requiresGrad ? [weight] : []), ...factors],
    backward: backwardOf(sizes, terms, parts, R, x, weight, h),
  });
  h.dispose();
  return y;
}

function backwardOf(
  sizes: LinearSizes,
  terms: readonly LoraTerm[],
  parts: readonly Part[],
  R: number,
  x: Tensor,
  weight: Tensor,
  h: Tensor,
): (context: BackwardContext) => void {
  const { rt, M, N, K } = sizes;
  const { kernels } = rt.engine;
  const [xAt, wAt, hAt] = [addressOf(x), addressOf(weight), addressOf(h)];
  const aAt = terms.map(({ A }) => addressOf(A));
  const bAt = terms.map(({ B }) => addressOf(B));
  return (context) => {
    const { dy, target, wants } = context;
    backwardWeightAndBias(sizes, context, 1, xAt());
    const u = rt.empty([M, R], 'f32');
    for (const [i, term] of terms.entries()) {
      const own = parts.filter((part) => part.term === i);
      const dB = target(FACTORS + PER_TERM * i + 1);
      const wantsA = wants(FACTORS + PER_TERM * i);
      for (const { r, from, size, column, rowB } of own) {
        const g = dy.pointer + 4 * from;
        const row = 4 * rowB * r;
        const { scaling } = term;
        if (dB !== null)
          kernels.loraGradB(
            M,
            size,
            r,
            scaling,
            g,
            N,
            hAt() + 4 * column,
            R,
            dB.accumulate,
            dB.pointer + row,
            r,
          );
        if (wants(0) || wantsA)
          kernels.loraBackwardHidden(
            M,
            size,
            r,
            scaling,
            g,
            N,
            bAt[i]!() + row,
            r,
            u.pointer + 4 * column,
            R,
          );
      }
      const dA = target(FACTORS + PER_TERM * i);
      if (dA !== null)
        withMasked(rt, term, M * K, xAt(), (masked) => {
          for (const { r, column, rowA } of own)
            kernels.loraGradA(
              ...([M, K, r, u.pointer + 4 * column, R, masked, K] as const),
              ...([dA.accumulate, dA.pointer + 4 * rowA * K, K] as const),
            );
        });
      const dBias = target(FACTORS + PER_TERM * i + 2);
      if (dBias !== null) {
        const sum = rt.empty([N], 'f32');
        kernels.sumRows(M, N, dy.pointer, N, 0, sum.pointer);
        if (dBias.accumulate === 0) kernels.scale(N, term.scaling, sum.pointer, dBias.pointer);
        else kernels.axpy(N, term.scaling, sum.pointer, dBias.pointer);
        sum.dispose();
      }
    }
    const dx = target(0);
    if (dx !== null) {
      const addresses = aAt.map((at) => at());
      const fused = parts.filter(({ term }) => terms[term]!.dropout === 0);
      withColumnsOf(rt, fused, M, u.pointer, R, (left) =>
        withRowsOf(rt, fused, addresses, K, (right) =>
          inputGradient(sizes, dy.pointer, wAt(), { ...left, right, ldr: K }, dx.accumulate, dx.pointer),
        ),
      );
      for (const [i, term] of terms.entries()) {
        if (term.dropout === 0) continue;
        const own = parts.filter((part) => part.term === i);
        const branch = rt.empty([M, K], 'f32');
        withColumnsOf(rt, own, M, u.pointer, R, (left) =>
          lowRankGradient(sizes, { ...left, right: addresses[i]!, ldr: K }, 0, branch.pointer),
        );
        drop(rt, term, M * K, branch.pointer, 1, dx.pointer);
        branch.dispose();
      }
    }
    u.dispose();
  };
}
