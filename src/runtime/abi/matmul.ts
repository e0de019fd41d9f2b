/** The three products of a linear layer; W is [N, K]; `path` and the size of the scratch come from `plan.ts`. */
export interface MatmulKernels {
  /** y[M,N] = colScale ⊙ (x[M,K]·Wᵀ + h[M,R]·Bᵀ) + bias; b is [N,R], already scaled; colScale and bias are [N] or 0. */
  linearForward(
    path: number,
    M: number,
    N: number,
    K: number,
    R: number,
    x: number,
    ldx: number,
    w: number,
    ldw: number,
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
  /** dx[M,K] (+)= dy[M,N]·W[N,K] + u[M,R]·a[R,K]. */
  linearBackwardInput(
    path: number,
    M: number,
    N: number,
    K: number,
    R: number,
    dy: number,
    lddy: number,
    w: number,
    ldw: number,
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
