/** Singular values and orthogonal factors of matrices in float64, row-major. By `ml-matrix`. */
import { Matrix, QrDecomposition, SingularValueDecomposition } from '../../vendor/ml-matrix.js';

/** a = U·diag(S)·Vᵀ: U [M, k], S [k] descending, V [N, k], k = min(M, N). */
export interface Svd {
  readonly U: Float64Array;
  readonly S: Float64Array;
  readonly V: Float64Array;
}

/** @param a - [M, N] */
export function svd(a: Float64Array, M: number, N: number): Svd {
  const k = Math.min(M, N);
  const found = new SingularValueDecomposition(matrixOf(a, M, N), { autoTranspose: true });
  return {
    U: columnsOf(found.leftSingularVectors, k),
    S: Float64Array.from(found.diagonal.slice(0, k)),
    V: columnsOf(found.rightSingularVectors, k),
  };
}

/** a = Q·R by Householder reflections: Q [M, k], R [k, N], k = min(M, N). @param a - [M, N] */
export function qr(
  a: Float64Array,
  M: number,
  N: number,
): { readonly Q: Float64Array; readonly R: Float64Array } {
  const k = Math.min(M, N);
  const square = new Float64Array(M * k);
  for (let i = 0; i < M; i++) for (let j = 0; j < k; j++) square[i * k + j] = a[i * N + j]!;
  const Q = columnsOf(new QrDecomposition(matrixOf(square, M, k)).orthogonalMatrix, k);
  return { Q, R: product(transpose(Q, M, k), a, k, M, N) };
}

/**
 * The r largest singular values, roughly: a random range, `iterations` times multiplied by a·aᵀ with an orthogonal basis in
 * between, then a small decomposition (Halko, Martinsson and Tropp, arXiv 0909.4061, algorithm 5.1).
 * @param random - gives normal numbers
 */
export function lowRankSvd(
  a: Float64Array,
  M: number,
  N: number,
  r: number,
  iterations: number,
  random: (count: number) => Float64Array,
): Svd {
  const turned = transpose(a, M, N);
  let Q = qr(product(a, random(N * r), M, N, r), M, r).Q;
  for (let i = 0; i < iterations; i++) {
    const P = qr(product(turned, Q, N, M, r), N, r).Q;
    Q = qr(product(a, P, M, N, r), M, r).Q;
  }
  const small = svd(product(transpose(Q, M, r), a, r, M, N), r, N);
  return { U: product(Q, small.U, M, r, Math.min(r, N)), S: small.S, V: small.V };
}

/** a[M, K]·b[K, N] */
export function product(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  M: number,
  K: number,
  N: number,
): Float64Array {
  const c = new Float64Array(M * N);
  for (let i = 0; i < M; i++) {
    const row = c.subarray(i * N, (i + 1) * N);
    for (let k = 0; k < K; k++) {
      const v = a[i * K + k]!;
      for (let j = 0, at = k * N; j < N; j++, at++) row[j]! += v * b[at]!;
    }
  }
  return c;
}

export function transpose(a: ArrayLike<number>, M: number, N: number): Float64Array {
  const t = new Float64Array(M * N);
  for (let i = 0; i < M; i++) for (let j = 0; j < N; j++) t[j * M + i] = a[i * N + j]!;
  return t;
}

function matrixOf(a: Float64Array, M: number, N: number): Matrix {
  return Matrix.from1DArray(M, N, a);
}

/** The first `k` columns. */
function columnsOf(matrix: Matrix, k: number): Float64Array {
  const values = new Float64Array(matrix.rows * k);
  for (let i = 0; i < matrix.rows; i++) for (let j = 0; j < k; j++) values[i * k + j] = matrix.get(i, j);
  return values;
}
