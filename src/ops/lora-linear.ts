/**
 * The fused LoRA operation y = x·Wᵀ + b + Σ sᵢ·((mᵢ(x)·Aᵢᵀ)·Bᵢᵀ + bᵢ) over the active adapters i, mᵢ their dropout. The
 * ranks of all adapters lie side by side: one product, continued over the stacked ranks, writes y once; an adapter of some
 * outputs only (fused projections) continues only the products of those. Called by `lora`.
 */

import type { Runtime } from '../tensor/runtime.js';
import type { BackwardContext, GradTarget } from '../tensor/tape.js';
import type { Tensor } from '../tensor/tensor.js';
import { backwardWeightAndBias, checkLinear, type LinearLayout } from './linear.js';
import { inputGradient, type LinearSizes, lowRankGradient, outputs } from './linear-products.js';
import {
  addressOf,
  drop,
  type LoraTerm,
  type Part,
  type Piece,
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
  return rt.attempt(() => {
    const y = rt.empty(x.shape.with(-1, N), 'f32');
    const h = rt.empty([M, R], 'f32');
    for (let i = 0; i < terms.length; i++) {
      const a = terms[i]!.A.pointer;
      withMasked(rt, terms[i]!, M * K, x.pointer, (masked) => {
        for (const { r, column, rowA } of parts[i]!)
          kernels.loraDown(M, K, r, masked, K, a + 4 * rowA * K, K, h.pointer + 4 * column, R);
      });
    }
    // A scale of 0 leaves the base's own bits, whatever the factors hold.
    const used = parts.flatMap((own, i) => (terms[i]!.scaling === 0 ? [] : own));
    const shift = totalBias(rt, N, bias, terms);
    const at = { x: x.pointer, w: weight.pointer, bias: shift?.pointer ?? 0, y: y.pointer };
    for (const piece of pieces(used, N)) {
      withColumnsOf(rt, piece.parts, M, h.pointer, R, (left) => {
        const b = scaledB(rt, piece, terms, left.R);
        outputs(sizes, piece.from, piece.size, at, { ...left, right: b.pointer, ldr: left.R });
        b.dispose();
      });
    }
    if (shift !== bias) shift?.dispose();

    const inputs: (Tensor | null)[] = [x, weight, bias];
    const saved = [h];
    for (const { A, B, bias: own } of terms) {
      inputs.push(A, B, own);
      saved.push(A, B);
    }
    if (x.requiresGrad) saved.push(weight);
    if (weight.requiresGrad || terms.some(({ A }) => A.requiresGrad)) saved.push(x);
    const operation: Operation = {
      sizes,
      terms,
      parts,
      R,
      x: addressOf(x),
      weight: addressOf(weight),
      h: addressOf(h),
      A: terms.map(({ A }) => addressOf(A)),
      B: terms.map(({ B }) => addressOf(B)),
    };
    rt.record(y, { name: where, inputs, saved, backward: (context) => backwardOf(operation, context) });
    h.dispose();
    return y;
  });
}

/** The scaled B of a piece's parts side by side, [size, R]: a temporary to dispose of. */
function scaledB(rt: Runtime, { parts, from, size }: Piece, terms: readonly LoraTerm[], R: number): Tensor {
  const b = rt.empty([size, R], 'f32');
  let column = 0;
  for (const part of parts) {
    const { B, scaling } = terms[part.term]!;
    const { r } = part;
    const rows = B.pointer + 4 * (part.rowB + from - part.from) * r;
    rt.engine.kernels.loraScaleB(size, r, scaling, rows, r, b.pointer + 4 * column, R);
    column += r;
  }
  return b;
}

/** What backward knows of a forward: addresses are asked for when it runs. */
interface Operation {
  readonly sizes: LinearSizes;
  readonly terms: readonly LoraTerm[];
  /** Of each term. */
  readonly parts: readonly (readonly Part[])[];
  readonly R: number;
  readonly x: () => number;
  readonly weight: () => number;
  /** [M, R] */
  readonly h: () => number;
  readonly A: readonly (() => number)[];
  readonly B: readonly (() => number)[];
}

function backwardOf(operation: Operation, context: BackwardContext): void {
  const { sizes, terms, R } = operation;
  const { rt, M } = sizes;
  backwardWeightAndBias(sizes, context, 1, operation.x());
  const u = rt.empty([M, R], 'f32');
  for (let i = 0; i < terms.length; i++) termGradients(operation, i, context, u.pointer);
  const dx = context.target(0);
  if (dx !== null) inputGradients(operation, context.dy.pointer, u.pointer, dx);
  u.dispose();
}

/** The gradients of term `i`, and its columns of u = s·dy·B where they are wanted. */
function termGradients(operation: Operation, i: number, context: BackwardContext, u: number): void {
  const { sizes, R } = operation;
  const { rt, M, N, K } = sizes;
  const { kernels } = rt.engine;
  const term = operation.terms[i]!;
  const own = operation.parts[i]!;
  const { scaling } = term;
  const dy = context.dy.pointer;
  const place = FACTORS + PER_TERM * i;
  const [b, h] = [operation.B[i]!(), operation.h()];
  const dB = context.target(place + 1);
  const dA = context.target(place);
  for (const { r, from, size, column, rowB } of own) {
    const g = dy + 4 * from;
    const row = 4 * rowB * r;
    const left = h + 4 * column;
    if (dB !== null)
      kernels.loraGradB(
        M,
        size,
        r,
        scaling,
        g,
        N,
        left,
        R,
        dB.accumulate,
        dB.pointer + row,
        r,
        rt.engine.scratch(4 * size * r),
      );
    if (dA !== null || context.wants(0))
      kernels.loraBackwardHidden(
        M,
        size,
        r,
        scaling,
        g,
        N,
        b + row,
        r,
        u + 4 * column,
        R,
        rt.engine.scratch(4 * size * r),
      );
  }
  if (dA !== null)
    withMasked(rt, term, M * K, operation.x(), (masked) => {
      for (const { r, column, rowA } of own) {
        const to = dA.pointer + 4 * rowA * K;
        kernels.loraGradA(M, K, r, u + 4 * column, R, masked, K, dA.accumulate, to, K);
      }
    });
  const dBias = context.target(place + 2);
  if (dBias === null) return;
  const sum = rt.empty([N], 'f32');
  kernels.sumRows(M, N, dy, N, 0, sum.pointer);
  if (dBias.accumulate === 0) kernels.scale(N, scaling, sum.pointer, dBias.pointer);
  else kernels.axpy(N, scaling, sum.pointer, dBias.pointer);
  sum.dispose();
}

/** dx: the product goes on over the ranks of the terms without dropout; a dropped branch is a pass of its own. */
function inputGradients(operation: Operation, dy: number, u: number, dx: GradTarget): void {
  const { sizes, terms, parts, R } = operation;
  const { rt, M, K } = sizes;
  const addresses = operation.A.map((at) => at());
  const fused = parts.flatMap((own, i) => (terms[i]!.dropout === 0 ? own : []));
  withColumnsOf(rt, fused, M, u, R, (left) =>
    withRowsOf(rt, fused, addresses, K, (right) =>
      inputGradient(sizes, dy, operation.weight(), { ...left, right, ldr: K }, dx.accumulate, dx.pointer),
    ),
  );
  for (let i = 0; i < terms.length; i++) {
    const term = terms[i]!;
    if (term.dropout === 0) continue;
    const branch = rt.empty([M, K], 'f32');
    withColumnsOf(rt, parts[i]!, M, u, R, (left) =>
      lowRankGradient(sizes, { ...left, right: addresses[i]!, ldr: K }, 0, branch.pointer),
    );
    drop(rt, term, M * K, branch.pointer, 1, dx.pointer);
    branch.dispose();
  }
}
