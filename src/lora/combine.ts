/**
 * One adapter's factors out of several: concatenation, the best approximation of their sum, and PEFT's arithmetic on the
 * factors themselves (task arithmetic, TIES arXiv 2306.01708, DARE arXiv 2311.03099). The result has scaling 1.
 */
import { product, svd } from './decompose.js';

/** Ways to combine, by PEFT's names. */
export const COMBINATIONS = ['cat', 'svd', 'linear', 'ties', 'dare_linear', 'dare_ties'] as const;
export type CombinationType = (typeof COMBINATIONS)[number];

/** One adapter's factors on one layer, as matrices, and the number that its delta scaling·B·A counts with. */
export interface CombinePart {
  /** [r·blocks, in] */
  readonly A: Float32Array;
  /** [out, r] */
  readonly B: Float32Array;
  /** Columns of B. */
  readonly r: number;
  readonly scaling: number;
  readonly weight: number;
}

/** Sizes of a layer's factors. */
export interface CombineSizes {
  /** Rows of B. */
  readonly out: number;
  /** Columns of A. */
  readonly width: number;
  /** Blocks of r rows that A is made of: groups of a convolution, slices of fused projections, else 1. */
  readonly blocks: number;
}

export interface CombineOptions {
  readonly rank: number;
  readonly density: number;
  readonly majoritySignMethod: 'total' | 'frequency';
  /** Uniform numbers from [0, 1). */
  readonly random: (count: number) => Float32Array;
}

/** A and B of the new adapter, and its r. */
export interface Combined {
  readonly A: Float32Array;
  readonly B: Float32Array;
  readonly r: number;
}

export function combineFactors(
  kind: CombinationType,
  parts: readonly CombinePart[],
  sizes: CombineSizes,
  options: CombineOptions,
): Combined {
  if (kind === 'cat') return concatenated(parts, sizes);
  if (kind === 'svd') return approximated(parts, sizes, options.rank);
  // The sign stands on one factor alone: on both it would cancel.
  const roots = parts.map(({ weight, scaling }) => Math.sqrt(Math.abs(weight * scaling)));
  const signs = parts.map(({ weight, scaling }) => (weight * scaling < 0 ? -1 : 1));
  const merge = (tensors: readonly Float32Array[], weights: readonly number[]): Float32Array => {
    const sparse = tensors.map((tensor) => thinned(kind, tensor, options));
    return kind === 'ties' || kind === 'dare_ties'
      ? elected(sparse, weights, options.majoritySignMethod)
      : weightedSum(sparse, weights);
  };
  return {
    A: merge(
      parts.map(({ A }) => A),
      roots.map((root, i) => root * signs[i]!),
    ),
    B: merge(
      parts.map(({ B }) => B),
      roots,
    ),
    r: parts[0]!.r,
  };
}

/** The ranks side by side, B scaled: exactly Σ weight·scaling·B·A. */
function concatenated(parts: readonly CombinePart[], { out, width, blocks }: CombineSizes): Combined {
  const r = parts.reduce((sum, part) => sum + part.r, 0);
  const A = new Float32Array(r * blocks * width);
  const B = new Float32Array(out * r);
  let row = 0;
  for (let block = 0; block < blocks; block++) {
    for (const part of parts) {
      const rows = part.r * width;
      A.set(part.A.subarray(block * rows, (block + 1) * rows), row * width);
      row += part.r;
    }
  }
  let column = 0;
  for (const part of parts) {
    const s = part.weight * part.scaling;
    for (let i = 0; i < out; i++)
      for (let j = 0; j < part.r; j++) B[i * r + column + j] = s * part.B[i * part.r + j]!;
    column += part.r;
  }
  return { A, B, r };
}

/** The best approximation of the sum of the deltas by one of `rank`: B = U·S, A = Vᵀ. */
function approximated(parts: readonly CombinePart[], { out, width }: CombineSizes, rank: number): Combined {
  const sum = new Float64Array(out * width);
  for (const { A, B, r, scaling, weight } of parts) {
    const delta = product(B, A, out, r, width);
    for (let i = 0; i < sum.length; i++) sum[i]! += weight * scaling * delta[i]!;
  }
  const { U, S, V } = svd(sum, out, width);
  const k = S.length;
  const A = new Float32Array(rank * width);
  const B = new Float32Array(out * rank);
  for (let i = 0; i < Math.min(rank, k); i++) {
    for (let j = 0; j < width; j++) A[i * width + j] = V[j * k + i]!;
    for (let j = 0; j < out; j++) B[j * rank + i] = U[j * k + i]! * S[i]!;
  }
  return { A, B, r: rank };
}

/** A tensor with a part of its elements at zero: the smallest (ties), or random ones with the rest scaled up (DARE). */
function thinned(
  kind: CombinationType,
  tensor: Float32Array,
  { density, random }: CombineOptions,
): Float32Array {
  if (kind === 'linear' || density >= 1) return tensor;
  if (kind !== 'ties') {
    const drawn = random(tensor.length);
    return tensor.map((value, i) => (drawn[i]! < density ? value / density : 0));
  }
  const kept = Math.floor(density * tensor.length);
  const order = [...tensor.keys()].sort((a, b) => Math.abs(tensor[b]!) - Math.abs(tensor[a]!));
  const result = new Float32Array(tensor.length);
  for (const i of order.slice(0, kept)) result[i] = tensor[i]!;
  return result;
}

function weightedSum(tensors: readonly Float32Array[], weights: readonly number[]): Float32Array {
  return tensors[0]!.map((_, i) => tensors.reduce((sum, tensor, j) => sum + weights[j]! * tensor[i]!, 0));
}

/** The weighted mean of the elements that have the sign of the majority. */
function elected(
  tensors: readonly Float32Array[],
  weights: readonly number[],
  method: 'total' | 'frequency',
): Float32Array {
  return tensors[0]!.map((_, i) => {
    const ballot = tensors.reduce((sum, t) => sum + (method === 'total' ? t[i]! : Math.sign(t[i]!)), 0);
    const majority = ballot >= 0 ? 1 : -1;
    let sum = 0;
    let count = 0;
    for (const [j, tensor] of tensors.entries()) {
      if (Math.sign(tensor[i]!) !== majority) continue;
      sum += weights[j]! * tensor[i]!;
      count++;
    }
    return sum / Math.max(count, 1);
  });
}
