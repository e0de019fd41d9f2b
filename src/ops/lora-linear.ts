/**
 * The fused LoRA operation y = x·Wᵀ + b + Σ sᵢ·(mᵢ(x)·Aᵢᵀ)·Bᵢᵀ over the active adapters i, mᵢ their dropout. The ranks of
 * all adapters lie side by side: one product, continued over the stacked ranks, writes y once. Called by `lora`.
 */
import { RANDOM_STREAM } from '../runtime/engine.js';
import type { BackwardContext } from '../tensor/tape.js';
import type { Tensor } from '../tensor/tensor.js';
import { backwardWeightAndBias, checkLinear, type LinearSizes } from './linear.js';

/** One adapter's part in the operation. */
export interface LoraTerm {
  /** [r, in] */
  readonly A: Tensor;
  /** [out, r] */
  readonly B: Tensor;
  readonly scaling: number;
  /** Probability with which an element of x is dropped on this branch; 0 outside training. */
  readonly dropout: number;
  /** The mask's place in the generator's counter. */
  readonly maskLayer: number;
  readonly maskStep: number;
}

interface Term extends LoraTerm {
  readonly r: number;
  /** First column of this adapter in the stacked ranks. */
  readonly column: number;
}

/**
 * @param x - [..., in] float32
 * @param weight - [out, in]
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
): Tensor {
  const sizes = checkLinear(where, x, weight, bias);
  const { rt, M, N, K } = sizes;
  const { kernels, products } = rt.engine;
  let R = 0;
  const stacked: Term[] = terms.map((term) => {
    const r = term.A.shape[0]!;
    const column = R;
    R += r;
    return { ...term, r, column };
  });
  const y = rt.empty([...x.shape.slice(0, -1), N], 'f32');
  const h = rt.empty([M, R], 'f32');
  const b = rt.empty([N, R], 'f32');
  for (const term of stacked) {
    withMasked(sizes, term, x.pointer, (masked) => {
      kernels.loraDown(M, K, term.r, masked, K, term.A.pointer, K, h.pointer + 4 * term.column, R);
    });
    kernels.loraScaleB(N, term.r, term.scaling, term.B.pointer, term.r, b.pointer + 4 * term.column, R);
  }
  products.forward(
    M,
    N,
    K,
    R,
    x.pointer,
    K,
    weight.pointer,
    K,
    h.pointer,
    R,
    b.pointer,
    R,
    0,
    bias?.pointer ?? 0,
    y.pointer,
    N,
  );
  b.dispose();

  const factors = stacked.flatMap(({ A, B }) => [A, B]);
  const inputs = [x, weight, bias, ...factors];
  const needsX = weight.requiresGrad || stacked.some(({ A }) => A.requiresGrad);
  rt.record(y, {
    name: where,
    inputs,
    saved: [h, ...(needsX ? [x] : []), ...(x.requiresGrad ? [weight] : []), ...factors],
    backward: backwardOf(sizes, stacked, R, x, weight, h),
  });
  h.dispose();
  return y;
}

/** Gives `use` the address of m(x): x itself, or a temporary with the mask applied. */
function withMasked(sizes: LinearSizes, term: Term, x: number, use: (masked: number) => void): void {
  if (term.dropout === 0) {
    use(x);
    return;
  }
  const { rt, M, K } = sizes;
  const masked = rt.empty([M, K], 'f32');
  drop(sizes, term, x, 0, masked.pointer);
  use(masked.pointer);
  masked.dispose();
}

function drop({ rt, M, K }: LinearSizes, term: Term, x: number, accumulate: 0 | 1, y: number): void {
  const { kernels, seedLow, seedHigh } = rt.engine;
  kernels.dropout(
    M * K,
    seedLow,
    seedHigh,
    RANDOM_STREAM.dropout,
    term.maskLayer,
    term.maskStep,
    term.dropout,
    x,
    accumulate,
    y,
  );
}

function backwardOf(
  sizes: LinearSizes,
  terms: readonly Term[],
  R: number,
  x: Tensor,
  weight: Tensor,
  h: Tensor,
): (context: BackwardContext) => void {
  const { rt, M, N, K } = sizes;
  const { kernels, products } = rt.engine;
  const at = (tensor: Tensor): (() => number) => {
    const { storage, offset } = tensor;
    return () => storage.pointer + offset;
  };
  const [xAt, wAt, hAt] = [at(x), at(weight), at(h)];
  const aAt = terms.map(({ A }) => at(A));
  const bAt = terms.map(({ B }) => at(B));
  return (context) => {
    const { dy, target, wants } = context;
    backwardWeightAndBias(sizes, context, 1, xAt());
    const wantsX = wants(0);
    const u = rt.empty([M, R], 'f32');
    for (const [i, term] of terms.entries()) {
      const { r, column, scaling } = term;
      const dB = target(4 + 2 * i);
      if (dB !== null) {
        kernels.loraGradB(
          M,
          N,
          r,
          scaling,
          dy.pointer,
          N,
          hAt() + 4 * column,
          R,
          dB.accumulate,
          dB.pointer,
          r,
        );
      }
      if (!wantsX && !wants(3 + 2 * i)) continue;
      kernels.loraBackwardHidden(M, N, r, scaling, dy.pointer, N, bAt[i]!(), r, u.pointer + 4 * column, R);
      const dA = target(3 + 2 * i);
      if (dA === null) continue;
      withMasked(sizes, term, xAt(), (masked) => {
        kernels.loraGradA(M, K, r, u.pointer + 4 * column, R, masked, K, dA.accumulate, dA.pointer, K);
      });
    }
    const dx = target(0);
    if (dx !== null) {
      const fused = terms.flatMap((term, i) => (term.dropout === 0 ? [{ term, a: aAt[i]! }] : []));
      const stack = fused.length > 1 ? stackA(sizes, fused) : null;
      const only = fused.length === 1 ? fused[0]! : null;
      // One adapter, or all of them undropped: their columns of u are contiguous ranges of one stacked product.
      if (stack !== null) {
        const compact = fused.length === terms.length ? null : compactU(sizes, fused, u, R);
        const rank = fused.reduce((total, { term }) => total + term.r, 0);
        products.backwardInput(
          M,
          N,
          K,
          rank,
          dy.pointer,
          N,
          wAt(),
          K,
          (compact ?? u).pointer,
          compact === null ? R : rank,
          stack.pointer,
          K,
          dx.accumulate,
          dx.pointer,
          K,
        );
        compact?.dispose();
        stack.dispose();
      } else {
        const r = only?.term.r ?? 0;
        const uPointer = only === null ? 0 : u.pointer + 4 * only.term.column;
        products.backwardInput(
          M,
          N,
          K,
          r,
          dy.pointer,
          N,
          wAt(),
          K,
          uPointer,
          R,
          only?.a() ?? 0,
          K,
          dx.accumulate,
          dx.pointer,
          K,
        );
      }
      for (const [i, term] of terms.entries()) {
        if (term.dropout === 0) continue;
        const branch = rt.empty([M, K], 'f32');
        products.backwardInput(
          M,
          0,
          K,
          term.r,
          0,
          0,
          0,
          K,
          u.pointer + 4 * term.column,
          R,
          aAt[i]!(),
          K,
          0,
          branch.pointer,
          K,
        );
        drop(sizes, term, branch.pointer, 1, dx.pointer);
        branch.dispose();
      }
    }
    u.dispose();
  };
}

/** The A factors one under the other, [Σr, in]. */
function stackA({ rt, K }: LinearSizes, fused: readonly { term: Term; a: () => number }[]): Tensor {
  const stack = rt.empty([fused.reduce((total, { term }) => total + term.r, 0), K], 'f32');
  let row = 0;
  for (const { term, a } of fused) {
    rt.engine.kernels.scale(term.r * K, 1, a(), stack.pointer + 4 * row * K);
    row += term.r;
  }
  return stack;
}

/** The columns of u that belong to the undropped adapters, side by side. */
function compactU({ rt, M }: LinearSizes, fused: readonly { term: Term }[], u: Tensor, R: number): Tensor {
  const rank = fused.reduce((total, { term }) => total + term.r, 0);
  const compact = rt.empty([M, rank], 'f32');
  let column = 0;
  for (const { term } of fused) {
    rt.engine.kernels.loraScaleB(
      M,
      term.r,
      1,
      u.pointer + 4 * term.column,
      R,
      compact.pointer + 4 * column,
      rank,
    );
    column += term.r;
  }
  return compact;
}
