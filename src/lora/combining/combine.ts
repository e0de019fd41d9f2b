/**
 * One adapter's factors out of several: concatenation, the best approximation of their sum, and PEFT's arithmetic (task
 * arithmetic, TIES arXiv 2306.01708, DARE arXiv 2311.03099, magnitude pruning) on the factors themselves, or on the deltas
 * with the best approximation of what comes out. The result has scaling 1.
 */
import { product, svd } from '../maths/decompose.js';

/** Ways to combine, by PEFT's names. */
export const COMBINATIONS = [
  ...['cat', 'svd', 'linear', 'ties', 'dare_linear', 'dare_ties', 'magnitude_prune'],
  ...['ties_svd', 'dare_linear_svd', 'dare_ties_svd', 'magnitude_prune_svd'],
] as const;
/** How adapters are combined, by PEFT's names; `cat` is exact. */
export type CombinationType = 'cat' | Arithmetic | 'svd' | `${Exclude<Arithmetic, 'linear'>}_svd`;
/** What is done with tensors that stand for the same thing. */
type Arithmetic = 'linear' | 'ties' | 'dare_linear' | 'dare_ties' | 'magnitude_prune';

/** Whether a combination works on the deltas and approximates the result. */
export function isApproximated(kind: CombinationType): boolean {
  return kind === 'svd' || kind.endsWith('_svd');
}

/** Whether a combination thins tensors out, so that it needs a density. */
export function isThinning(kind: CombinationType): boolean {
  return kind !== 'cat' && arithmeticOf(kind) !== 'linear';
}

function arithmeticOf(kind: Exclude<CombinationType, 'cat'>): Arithmetic {
  return kind === 'svd' ? 'linear' : (kind.replace(/_svd$/, '') as Arithmetic);
}

type Values = Float32Array | Float64Array;

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
  /** The part of both factors' elements, from the smallest on, whose largest bounds all of them; null for none. */
  readonly clamp: number | null;
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
  if (isApproximated(kind)) return approximated(deltaOf(kind, parts, sizes, options), sizes, options);
  // The sign stands on one factor alone: on both it would cancel.
  const roots = parts.map(({ weight, scaling }) => Math.sqrt(Math.abs(weight * scaling)));
  const signs = parts.map(({ weight, scaling }) => (weight * scaling < 0 ? -1 : 1));
  const merge = (tensors: readonly Float32Array[], weights: readonly number[]): Float32Array =>
    Float32Array.from(merged(kind, tensors, weights, options));
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

/** One tensor out of several, thinned and weighted. */
function merged(
  kind: Exclude<CombinationType, 'cat'>,
  tensors: readonly Values[],
  weights: readonly number[],
  options: CombineOptions,
): Values {
  const arithmetic = arithmeticOf(kind);
  const sparse = tensors.map((tensor) => thinned(arithmetic, tensor, options));
  return arithmetic === 'ties' || arithmetic === 'dare_ties'
    ? elected(sparse, weights, options.majoritySignMethod)
    : weightedSum(sparse, weights);
}

/** The deltas scaling·B·A, merged. */
function deltaOf(
  kind: Exclude<CombinationType, 'cat'>,
  parts: readonly CombinePart[],
  { out, width }: CombineSizes,
  options: CombineOptions,
): Float64Array {
  const deltas = parts.map(({ A, B, r, scaling }) =>
    product(B, A, out, r, width).map((value) => scaling * value),
  );
  const weights = parts.map(({ weight }) => weight);
  return Float64Array.from(merged(kind, deltas, weights, options));
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

/** The best approximation of a delta by one of `rank`: B = U·S, A = Vᵀ. */
function approximated(
  delta: Float64Array,
  { out, width }: CombineSizes,
  { rank, clamp }: CombineOptions,
): Combined {
  const { U, S, V } = svd(delta, out, width);
  const k = S.length;
  const A = new Float32Array(rank * width);
  const B = new Float32Array(out * rank);
  for (let i = 0; i < Math.min(rank, k); i++) {
    for (let j = 0; j < width; j++) A[i * width + j] = V[j * k + i]!;
    for (let j = 0; j < out; j++) B[j * rank + i] = U[j * k + i]! * S[i]!;
  }
  return clamp === null ? { A, B, r: rank } : { ...clamped(A, B, clamp), r: rank };
}

/** Both factors within ± the given quantile of all of their elements, between two of which it lies on a line. */
export function clamped(
  A: Float32Array,
  B: Float32Array,
  quantile: number,
): { A: Float32Array; B: Float32Array } {
  const all = new Float32Array(A.length + B.length);
  all.set(B);
  all.set(A, B.length);
  all.sort();
  const at = quantile * (all.length - 1);
  const low = all[Math.floor(at)]!;
  const high = low + (at % 1) * (all[Math.ceil(at)]! - low);
  // As torch.clamp: where the bounds cross, the upper one counts.
  const bound = (value: number): number => Math.min(Math.max(value, -high), high);
  return { A: A.map(bound), B: B.map(bound) };
}

/** A tensor with a part of its elements at zero: the smallest (TIES and pruning), or random ones with the rest scaled up (DARE). */
function thinned(arithmetic: Arithmetic, tensor: Values, { density, random }: CombineOptions): Values {
  if (arithmetic === 'linear' || density >= 1) return tensor;
  if (arithmetic === 'dare_linear' || arithmetic === 'dare_ties') {
    const drawn = random(tensor.length);
    return tensor.map((value, i) => (drawn[i]! < density ? value / density : 0));
  }
  const kept = Math.floor(density * tensor.length);
  const order = [...tensor.keys()].sort((a, b) => Math.abs(tensor[b]!) - Math.abs(tensor[a]!));
  const result = tensor.map(() => 0);
  for (const i of order.slice(0, kept)) result[i] = tensor[i]!;
  return result;
}

function weightedSum(tensors: readonly Values[], weights: readonly number[]): Values {
  return tensors[0]!.map((_, i) => tensors.reduce((sum, tensor, j) => sum + weights[j]! * tensor[i]!, 0));
}

/** The weighted mean of the elements that have the sign of the majority. */
function elected(
  tensors: readonly Values[],
  weights: readonly number[],
  method: 'total' | 'frequency',
): Values {
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
