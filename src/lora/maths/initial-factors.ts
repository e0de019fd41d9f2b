/** Factors taken out of a base weight: PiSSA (arXiv 2404.02948), OLoRA (arXiv 2406.01775), and orthogonal ones. W is [out, in]. */
import type { ShapedArray } from '../../values/arrays.js';
import { lowRankSvd, product, qr, type Svd, svd, transpose } from './decompose.js';

export interface InitialFactors {
  /** [r, in] */
  readonly A: Float32Array;
  /** [out, r] */
  readonly B: Float32Array;
  /** W - scaling·B·A, [out, in] */
  readonly residual: Float32Array;
}

/** How much of a weight is taken, and at which scaling it goes in again. */
export interface Taken {
  readonly r: number;
  readonly scaling: number;
}

/** A = √(S/scaling)·Vᵀ and B = U·√(S/scaling) of the r largest singular values of W. @throws RangeError */
export function pissaFactors(W: ShapedArray, taken: Taken): InitialFactors {
  const { out, width } = checkedSizes('pissa', W, taken.r);
  checkPissaScaling('pissa', taken.scaling);
  return fromSvd(svd(Float64Array.from(W.data), out, width), W, taken);
}

/** The same by a randomised decomposition. @param random - gives normal numbers @throws RangeError */
export function fastPissaFactors(
  W: ShapedArray,
  taken: Taken,
  iterations: number,
  random: (count: number) => Float64Array,
): InitialFactors {
  const { out, width } = checkedSizes('pissa_niter', W, taken.r);
  checkPissaScaling('pissa_niter', taken.scaling);
  const found = lowRankSvd(Float64Array.from(W.data), out, width, taken.r, iterations, random);
  return fromSvd(found, W, taken);
}

/** A = the first r rows of R and B = the first r columns of Q, W = Q·R. @throws RangeError */
export function oloraFactors(W: ShapedArray, { r, scaling }: Taken): InitialFactors {
  const { out, width } = checkedSizes('olora', W, r);
  const { Q, R } = qr(Float64Array.from(W.data), out, width);
  const k = Math.min(out, width);
  const B = new Float32Array(out * r);
  for (let i = 0; i < out; i++) for (let j = 0; j < r; j++) B[i * r + j] = Q[i * k + j]!;
  return withResidual(W, Float32Array.from(R.subarray(0, r * width)), B, scaling);
}

/** A and B from the even and odd rows of one random orthogonal matrix, so that B·A starts near zero. @throws RangeError for an odd r */
export function orthogonalFactors(
  out: number,
  width: number,
  r: number,
  random: (count: number) => Float64Array,
): { readonly A: Float32Array; readonly B: Float32Array } {
  checkEvenRank('orthogonal', r);
  const { Q } = qr(random(r * r), r, r);
  const half = r / 2;
  const rows = (first: number): Float64Array => {
    const picked = new Float64Array(half * r);
    for (let i = 0; i < half; i++)
      picked.set(Q.subarray((2 * i + first) * r, (2 * i + first + 1) * r), i * r);
    return picked;
  };
  const a = product(random(width * half), rows(0), width, half, r);
  const b = product(transpose(random(half * out), half, out), rows(1), out, half, r);
  return { A: Float32Array.from(transpose(a, width, r), tenth), B: Float32Array.from(b, tenth) };
}

function tenth(value: number): number {
  return value / 10;
}

function fromSvd({ U, S, V }: Svd, W: ShapedArray, { r, scaling }: Taken): InitialFactors {
  const [out = 0, width = 0] = W.shape;
  const k = S.length;
  const A = new Float32Array(r * width);
  const B = new Float32Array(out * r);
  for (let i = 0; i < r; i++) {
    const root = Math.sqrt(S[i]! / scaling);
    for (let j = 0; j < width; j++) A[i * width + j] = root * V[j * k + i]!;
    for (let j = 0; j < out; j++) B[j * r + i] = root * U[j * k + i]!;
  }
  return withResidual(W, A, B, scaling);
}

function withResidual(W: ShapedArray, A: Float32Array, B: Float32Array, scaling: number): InitialFactors {
  const [out = 0, width = 0] = W.shape;
  const taken = product(B, A, out, B.length / out, width);
  return { A, B, residual: W.data.map((w, i) => w - scaling * taken[i]!) };
}

/** @throws RangeError */
function checkedSizes(
  where: string,
  { shape: [out = 0, width = 0] }: ShapedArray,
  r: number,
): { readonly out: number; readonly width: number } {
  checkTaken(where, out, width, r);
  return { out, width };
}

/** @throws RangeError */
export function checkTaken(where: string, rows: number, columns: number, r: number): void {
  const most = Math.min(rows, columns);
  if (r > most)
    throw new RangeError(
      `${where}: r is ${r} on a weight of [${rows}, ${columns}], expected at most ${most}`,
    );
}

/** PiSSA divides by the scaling and takes a root. @throws RangeError */
export function checkPissaScaling(where: string, scaling: number): void {
  if (!(scaling > 0)) throw new RangeError(`${where}: the scaling is ${scaling}, expected loraAlpha above 0`);
}

/** @throws RangeError */
export function checkEvenRank(where: string, r: number): void {
  if (r % 2 !== 0) throw new RangeError(`${where}: r is ${r}, expected an even rank`);
}
