/**
 * The three products of a linear layer. W is [N, K] of a type (ggml's number, `dtypes.ts`) with rows of `wStep` bytes; `path`
 * comes from `plan.ts`, the arguments from `calls.ts`.
 */
export interface MatmulKernels {
  /** Bytes of scratch for a product on this path over a weight of this type with rows of K elements. */
  productScratch(path: number, type: number, K: number): number;
  /** y[M,N] = colScale ⊙ (x[M,K]·Wᵀ + h[M,R]·Bᵀ) + bias; b is [N,R], already scaled; colScale and bias are [N] or 0. */
  linearForward(
    path: number,
    M: number,
    N: number,
    K: number,
    R: number,
    x: number,
    ldx: number,
    type: number,
    w: number,
    wStep: number,
    h: number,
    ldh: number,
    b: number,
    ldb: number,
    colScale: number,
    bias: number,
    y: number,
    ldy: number,
    scratch: number,
  ): void;
  /** dx[M,K] (+)= dy[M,N]·W[N,from:from+K] + u[M,R]·a[R,K]. */
  linearBackwardInput(
    path: number,
    M: number,
    N: number,
    K: number,
    R: number,
    dy: number,
    lddy: number,
    type: number,
    w: number,
    wStep: number,
    from: number,
    u: number,
    ldu: number,
    a: number,
    lda: number,
    accumulate: number,
    dx: number,
    lddx: number,
    scratch: number,
  ): void;
  /** dw[N,K] (+)= dyᵀ·x, summed over M rows. */
  linearBackwardWeight(
    path: number,
    M: number,
    N: number,
    K: number,
    dy: number,
    lddy: number,
    x: number,
    ldx: number,
    accumulate: number,
    dw: number,
    lddw: number,
    scratch: number,
  ): void;
  /** db[N] (+)= sum over rows of dy[M,N]. */
  sumRows(M: number, N: number, dy: number, lddy: number, accumulate: number, db: number): void;
}
