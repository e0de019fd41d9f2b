/**
 * The fused LoRA operation y = x·Wᵀ + b + Σ sᵢ·((mᵢ(x)·Aᵢᵀ)·Bᵢᵀ + bᵢ) over the active adapters i, mᵢ their dropout. The
 * ranks of all adapters lie side by side: one product, continued over the stacked ranks, writes y once; an adapter of some
 * outputs only (fused projections) continues only the products of those. Called by `lora`.
 */

import { gradientMatrix, sumRows } from '../engine/matrices.js';
import { columnsOf, type Matrix, matrix } from '../engine/operands.js';
import { down, gradA, gradB, hiddenGradient } from '../engine/skinny.js';
import type { BackwardContext, GradTarget } from '../tensor/tape.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkLinear, type LinearLayout, weightAndBiasGradients } from './linear.js';
import { inputGradient, type LinearSizes, lowRankGradient, outputs } from './linear-products.js';
import {
  addScaled,
  drop,
  type LoraTerm,
  type Part,
  pieces,
  scaledB,
  stackParts,
  totalBias,
  withColumnsOf,
  withMasked,
  withRowsOf,
} from './lora-terms.js';

/** A fused operation: its sizes, its terms, and the parts that their ranks make. */
interface Fused {
  readonly sizes: LinearSizes;
  readonly terms: readonly LoraTerm[];
  /** Of all terms, one after the other. */
  readonly parts: readonly Part[];
  /** Ranks of all parts. */
  readonly R: number;
}

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
  { weight, bias }: { readonly weight: Tensor; readonly bias: Tensor | null },
  terms: readonly LoraTerm[],
  layout: LinearLayout = {},
): Tensor {
  const sizes = checkLinear(where, x, weight, bias, layout);
  const { rt, M, N } = sizes;
  const { parts, R } = stackParts(terms, N);
  const fused: Fused = { sizes, terms, parts, R };
  return rt.attempt(() => {
    const y = rt.empty(x.shape.with(-1, N), 'f32');
    const h = rt.empty([M, R], 'f32');
    const shift = totalBias(rt, N, bias, terms);
    forward(fused, { x, weight, bias: shift, h, y });
    if (shift !== bias) shift?.dispose();
    const A = terms.map((term) => term.A);
    const B = terms.map((term) => term.B);
    rt.record(y, {
      name: where,
      inputs: { x, weight, bias, A, B, loraBias: terms.map((term) => term.bias) },
      keep: {
        h,
        A,
        B,
        weight: x.requiresGrad ? weight : null,
        x: weight.requiresGrad || A.some((one) => one.requiresGrad) ? x : null,
      },
      backward: (context) => backward(fused, context),
    });
    h.dispose();
    return y;
  });
}

interface ForwardTensors {
  readonly x: Tensor;
  readonly weight: Tensor;
  readonly bias: Tensor | null;
  /** [M, R] */
  readonly h: Tensor;
  readonly y: Tensor;
}

/** h of every part, then y piece by piece: the product goes on over the ranks of the parts that cover it. */
function forward({ sizes, terms, parts, R }: Fused, { x, weight, bias, h, y }: ForwardTensors): void {
  const { rt, M, N, K } = sizes;
  const hidden = matrix(h.pointer, M, R);
  const rows = matrix(x.pointer, M, K);
  for (let i = 0; i < terms.length; i++) {
    const { A } = terms[i]!;
    withMasked(rt, terms[i]!, rows, (masked) => {
      for (const { term, r, column, rowA } of parts) {
        if (term !== i) continue;
        const a = matrix(A.pointer + 4 * rowA * K, r, K);
        down(rt.engine, { x: masked, a, h: columnsOf(hidden, column, r) });
      }
    });
  }
  // A scale of 0 leaves the base's own bits, whatever the factors hold.
  const used = parts.filter(({ term }) => terms[term]!.scaling !== 0);
  const operands = { x: rows, w: weight.pointer, bias: bias?.pointer ?? 0, y: matrix(y.pointer, M, N) };
  for (const piece of pieces(used, N))
    withColumnsOf(rt, piece.parts, hidden, (left) => {
      const b = scaledB(rt, piece, terms, left.columns);
      outputs(sizes, piece, operands, { left, right: matrix(b.pointer, piece.size, left.columns) });
      b.dispose();
    });
}

type Context = BackwardContext<
  {
    readonly [name in 'x' | 'weight' | 'bias']: Tensor | null;
  } & { readonly [name in 'A' | 'B' | 'loraBias']: readonly (Tensor | null)[] },
  {
    readonly [name in 'x' | 'weight' | 'h']: Tensor | null;
  } & { readonly [name in 'A' | 'B']: readonly Tensor[] }
>;

function backward(fused: Fused, context: Context): void {
  const { sizes, terms, R } = fused;
  const { rt, M, N, K } = sizes;
  const { at, grad } = context;
  const dy = matrix(context.dy.pointer, M, N);
  const places = { dw: grad('weight'), db: grad('bias') };
  weightAndBiasGradients(sizes, { dy, x: () => at('x') }, places);
  const hidden = rt.empty([M, R], 'f32');
  const u = matrix(hidden.pointer, M, R);
  for (let i = 0; i < terms.length; i++) termGradients(fused, i, context, { dy, u });
  const dx = grad('x');
  if (dx !== null) inputGradients(fused, context, { dy, u }, gradientMatrix(dx, M, K));
  hidden.dispose();
}

/** The gradients of dy and of the hidden rows: dy [M, N], u = s·dy·B [M, R]. */
interface Flow {
  readonly dy: Matrix;
  readonly u: Matrix;
}

/** The gradients of term `i`, and its columns of u where they are wanted. */
function termGradients(
  { sizes, terms, parts, R }: Fused,
  i: number,
  context: Context,
  { dy, u }: Flow,
): void {
  const { rt, M, K } = sizes;
  const { at, grad, wants } = context;
  const term = terms[i]!;
  const own = parts.filter((part) => part.term === i);
  const s = term.scaling;
  const [dB, dA] = [grad('B', i), grad('A', i)];
  const h = matrix(at('h'), M, R);
  for (const { r, from, size, column, rowB } of own) {
    const part = columnsOf(dy, from, size);
    const row = 4 * rowB * r;
    if (dB !== null) {
      const db = gradientMatrix({ pointer: dB.pointer + row, accumulate: dB.accumulate }, size, r);
      gradB(rt.engine, { s, dy: part, h: columnsOf(h, column, r), db });
    }
    if (dA !== null || wants('x'))
      hiddenGradient(rt.engine, {
        s,
        dy: part,
        b: matrix(at('B', i) + row, size, r),
        u: columnsOf(u, column, r),
      });
  }
  if (dA !== null)
    withMasked(rt, term, matrix(at('x'), M, K), (x) => {
      for (const { r, column, rowA } of own) {
        const da = gradientMatrix({ pointer: dA.pointer + 4 * rowA * K, accumulate: dA.accumulate }, r, K);
        gradA(rt.engine, { u: columnsOf(u, column, r), x, da });
      }
    });
  const dBias = grad('loraBias', i);
  if (dBias !== null) loraBiasGradient(sizes, s, dy, dBias);
}

/** d(lora_B.bias) (+)= s·Σ dy. */
function loraBiasGradient({ rt, N }: LinearSizes, s: number, dy: Matrix, to: GradTarget): void {
  const sum = rt.empty([N], 'f32');
  sumRows(rt.engine.kernels, dy, { pointer: sum.pointer, accumulate: 0 });
  addScaled(rt, N, s, sum.pointer, to);
  sum.dispose();
}

/** dx: the product goes on over the ranks of the terms without dropout; a dropped branch is a pass of its own. */
function inputGradients(
  { sizes, terms, parts }: Fused,
  { at }: Context,
  { dy, u }: Flow,
  dx: Matrix & GradTarget,
): void {
  const { rt, M, K, planRows } = sizes;
  const fused = parts.filter(({ term }) => terms[term]!.dropout === 0);
  withColumnsOf(rt, fused, u, (left) =>
    withRowsOf(
      rt,
      fused,
      (i) => at('A', i),
      K,
      (right) => inputGradient(sizes, { dy, w: at('weight'), low: { left, right } }, dx),
    ),
  );
  for (let i = 0; i < terms.length; i++) {
    const term = terms[i]!;
    if (term.dropout === 0) continue;
    const own = parts.filter((part) => part.term === i);
    const branch = rt.empty([M, K], 'f32');
    withColumnsOf(rt, own, u, (left) => {
      const low = { left, right: matrix(at('A', i), left.columns, K) };
      lowRankGradient(rt, low, gradientMatrix({ pointer: branch.pointer, accumulate: 0 }, M, K), planRows);
    });
    drop(rt, term, M * K, branch.pointer, { pointer: dx.pointer, accumulate: 1 });
    branch.dispose();
  }
}
