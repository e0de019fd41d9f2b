/**
 * DoRA over a linear layer (Liu et al., arXiv 2402.09353): y = m̃(x)·(g ⊙ V)ᵀ + b, V = W + s·B·A, g = magnitude / ‖V‖ an
 * output, the norm a constant in backward (section 4.3). With dropout the base keeps the whole x: y = (x - x̃)·Wᵀ +
 * g ⊙ (x̃·Vᵀ) + b, x̃ the dropped x, which is PEFT's form. Called by `lora`.
 */
import { affineColumns, dotColumns, gradientMatrix, scaleTo, sumRows } from '../engine/matrices.js';
import { type Matrix, matrix, NO_RANK } from '../engine/operands.js';
import { down, gradA, gradB, hiddenGradient } from '../engine/skinny.js';
import type { BackwardContext, GradTarget } from '../tensor/tape.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkLinear, type LinearLayout } from './linear.js';
import { inputGradient, type LinearSizes, outputs, weightGradient } from './linear-products.js';
import { addScaled, type Dora, drop, type LoraTerm, withInverse, withMasked } from './lora-terms.js';

/** Sizes of the operation, its term, and the term's rank. */
interface Adapted {
  readonly sizes: LinearSizes;
  readonly term: LoraTerm;
  readonly r: number;
}

/**
 * @param dora - magnitude [out], and norms [out]: ‖V‖ of every output
 * @returns [..., out]
 */
export function doraLinear(
  where: string,
  x: Tensor,
  { weight, bias }: { readonly weight: Tensor; readonly bias: Tensor | null },
  term: LoraTerm,
  { magnitude, norms }: Dora,
  layout: LinearLayout = {},
): Tensor {
  const sizes = checkLinear(where, x, weight, bias, layout);
  const { rt, M, N } = sizes;
  const { A, B } = term;
  const adapted: Adapted = { sizes, term, r: B.shape[1]! };
  return rt.attempt(() => {
    const make = (shape: readonly number[]): Tensor => rt.empty(shape, 'f32');
    const [g, h, z] = [make([N]), make([M, adapted.r]), make([M, N])];
    rt.engine.kernels.quotient(N, magnitude.pointer, norms.pointer, g.pointer);
    adaptedProduct(adapted, x, weight, { h, z });
    const y = rt.empty([...x.shape.slice(0, -1), N], 'f32');
    const [from, to] = [matrix(z.pointer, M, N), matrix(y.pointer, M, N)];
    affineColumns(rt.engine.kernels, { x: from, scale: g.pointer, shift: bias?.pointer ?? 0, y: to });
    if (term.dropout > 0) addRest(adapted, x, weight, y);
    rt.record(y, {
      name: where,
      inputs: { x, weight, bias, A, B, magnitude },
      keep: { x, weight, A, B, norms, g, h, z },
      backward: (context) => backward(adapted, context),
    });
    for (const tensor of [g, h, z]) tensor.dispose();
    return y;
  });
}

/** h = x̃·Aᵀ and z = x̃·Vᵀ. */
function adaptedProduct(
  { sizes, term, r }: Adapted,
  x: Tensor,
  weight: Tensor,
  { h, z }: { h: Tensor; z: Tensor },
): void {
  const { rt, M, N, K } = sizes;
  const scaled = rt.empty([N, r], 'f32');
  const [left, right] = [matrix(h.pointer, M, r), matrix(scaled.pointer, N, r)];
  scaleTo(rt.engine.kernels, term.scaling, matrix(term.B.pointer, N, r), right);
  withMasked(rt, term, matrix(x.pointer, M, K), (masked) => {
    down(rt.engine, { x: masked, a: matrix(term.A.pointer, r, K), h: left });
    const operands = { x: masked, w: weight.pointer, bias: 0, y: matrix(z.pointer, M, N) };
    outputs(sizes, { from: 0, size: N }, operands, { left, right });
  });
  scaled.dispose();
}

/** y += (x - x̃)·Wᵀ: the base keeps what dropout took from the branch. */
function addRest(adapted: Adapted, x: Tensor, weight: Tensor, y: Tensor): void {
  const { sizes } = adapted;
  const { rt, M, N } = sizes;
  const whole = rt.empty([M, N], 'f32');
  withRest(adapted, x.pointer, (rest) => {
    const operands = { x: rest, w: weight.pointer, bias: 0, y: matrix(whole.pointer, M, N) };
    outputs(sizes, { from: 0, size: N }, operands, NO_RANK);
  });
  rt.engine.kernels.axpy(M * N, 1, whole.pointer, y.pointer);
  whole.dispose();
}

/** Gives `use` x - x̃: what the mask took away. */
function withRest({ sizes, term }: Adapted, x: number, use: (rest: Matrix) => void): void {
  const { rt, M, K } = sizes;
  const rest = rt.empty([M, K], 'f32');
  drop(rt, term, M * K, x, { pointer: rest.pointer, accumulate: 0 });
  rt.engine.kernels.sub(M * K, x, rest.pointer, rest.pointer);
  use(matrix(rest.pointer, M, K));
  rest.dispose();
}

type Context = BackwardContext<
  { readonly [name in 'x' | 'weight' | 'bias' | 'A' | 'B' | 'magnitude']: Tensor | null },
  { readonly [name in 'x' | 'weight' | 'A' | 'B' | 'norms' | 'g' | 'h' | 'z']: Tensor }
>;

function backward(adapted: Adapted, context: Context): void {
  const { rt, M, N } = adapted.sizes;
  const { kernels } = rt.engine;
  const { at, grad } = context;
  const dy = matrix(context.dy.pointer, M, N);
  const dm = grad('magnitude');
  if (dm !== null)
    withInverse(rt, N, at('norms'), (w) => dotColumns(kernels, dy, matrix(at('z'), M, N), w, dm));
  const db = grad('bias');
  if (db !== null) sumRows(kernels, dy, db);
  const scaled = rt.empty([M, N], 'f32');
  const dz = matrix(scaled.pointer, M, N);
  affineColumns(kernels, { x: dy, scale: at('g'), shift: 0, y: dz });
  const hidden = rt.empty([M, adapted.r], 'f32');
  const flow = { dy, dz, u: matrix(hidden.pointer, M, adapted.r) };
  factorGradients(adapted, context, flow);
  const dx = grad('x');
  if (dx !== null) inputGradients(adapted, context, flow, dx);
  hidden.dispose();
  scaled.dispose();
}

/** dy [M, N], dz = g ⊙ dy [M, N], u = s·dz·B [M, r]. */
interface Flow {
  readonly dy: Matrix;
  readonly dz: Matrix;
  readonly u: Matrix;
}

/** Gradients of A, B and W; u on the way. */
function factorGradients(adapted: Adapted, { at, grad, wants }: Context, { dy, dz, u }: Flow): void {
  const { sizes, term, r } = adapted;
  const { rt, M, N, K } = sizes;
  const s = term.scaling;
  const dB = grad('B');
  if (dB !== null) gradB(rt.engine, { s, dy: dz, h: matrix(at('h'), M, r), db: gradientMatrix(dB, N, r) });
  if (wants('x') || wants('A')) hiddenGradient(rt.engine, { s, dy: dz, b: matrix(at('B'), N, r), u });
  const [dA, dw] = [grad('A'), grad('weight')];
  if (dA !== null || dw !== null)
    withMasked(rt, term, matrix(at('x'), M, K), (masked) => {
      if (dA !== null) gradA(rt.engine, { u, x: masked, da: gradientMatrix(dA, r, K) });
      if (dw !== null) weightGradient(sizes, { dy: dz, x: masked }, dw);
    });
  if (dw !== null && term.dropout > 0)
    withRest(adapted, at('x'), (x) => weightGradient(sizes, { dy, x }, { ...dw, accumulate: 1 }));
}

/** dx = dz·V; with dropout dy·W + mask ⊙ (dz·V - dy·W). */
function inputGradients(
  { sizes, term, r }: Adapted,
  { at }: Context,
  { dy, dz, u }: Flow,
  dx: GradTarget,
): void {
  const { rt, M, K } = sizes;
  const w = at('weight');
  const low = { left: u, right: matrix(at('A'), r, K) };
  if (term.dropout === 0) {
    inputGradient(sizes, { dy: dz, w, low }, gradientMatrix(dx, M, K));
    return;
  }
  const [whole, branch] = [rt.empty([M, K], 'f32'), rt.empty([M, K], 'f32')];
  const place = (of: Tensor) => gradientMatrix({ pointer: of.pointer, accumulate: 0 }, M, K);
  inputGradient(sizes, { dy, w, low: NO_RANK }, place(whole));
  inputGradient(sizes, { dy: dz, w, low }, place(branch));
  rt.engine.kernels.sub(M * K, branch.pointer, whole.pointer, branch.pointer);
  addScaled(rt, M * K, 1, whole.pointer, dx);
  drop(rt, term, M * K, branch.pointer, { pointer: dx.pointer, accumulate: 1 });
  whole.dispose();
  branch.dispose();
}
