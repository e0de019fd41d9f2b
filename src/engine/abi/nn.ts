/** Layers without parameters, losses, layer normalisation and tables: element by element, by rows, by the middle dimension. */
export interface NnKernels {
  // --- element-wise, n contiguous elements; output may be one of the inputs ---
  fill(n: number, value: number, y: number): void;
  add(n: number, a: number, b: number, y: number): void;
  sub(n: number, a: number, b: number, y: number): void;
  mul(n: number, a: number, b: number, y: number): void;
  /** y = s·x. */
  scale(n: number, s: number, x: number, y: number): void;
  /** y += s·x. */
  axpy(n: number, s: number, x: number, y: number): void;
  /** y += s·a⊙b (backward of mul). */
  mulAdd(n: number, s: number, a: number, b: number, y: number): void;
  /** y += value (backward of sum). */
  addScalar(n: number, value: number, y: number): void;
  /** Sum of x: f32 lanes within blocks, blocks in f64. */
  sum(n: number, x: number): number;
  /** Sum of squares, as `sum`. NaN and infinity pass through. */
  squaredNorm(n: number, x: number): number;
  /** 1 when every value is finite. */
  allFinite(n: number, x: number): number;
  reluForward(n: number, x: number, y: number): void;
  /** dx (+)= dy where y > 0, else 0. */
  reluBackward(n: number, y: number, dy: number, accumulate: number, dx: number): void;

  tanhForward(n: number, x: number, y: number): void;
  /** dx (+)= dy·(1 - y²). */
  tanhBackward(n: number, y: number, dy: number, accumulate: number, dx: number): void;
  sigmoidForward(n: number, x: number, y: number): void;
  /** dx (+)= dy·y·(1 - y). */
  sigmoidBackward(n: number, y: number, dy: number, accumulate: number, dx: number): void;

  /** y = x·Φ(x), Φ the normal distribution; approximate 1: x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))). */
  geluForward(n: number, approximate: number, x: number, y: number): void;
  /** dx (+)= dy·gelu'(x). */
  geluBackward(n: number, approximate: number, x: number, dy: number, accumulate: number, dx: number): void;

  // --- rows ---
  /** out i32[M]: index of the first largest element of each row; NaN counts as largest, as in PyTorch. */
  argmaxRows(M: number, N: number, x: number, ldx: number, out: number): void;
  /** y = softmax over each row. */
  softmaxForward(M: number, N: number, x: number, ldx: number, y: number, ldy: number): void;
  /** dx (+)= y ⊙ (dy - Σ dy·y). */
  softmaxBackward(
    M: number,
    N: number,
    y: number,
    ldy: number,
    dy: number,
    lddy: number,
    accumulate: number,
    dx: number,
    lddx: number,
  ): void;
  /** loss[M] = logsumexp(row) - row[label], 0 for ignored rows. labels are i32. */
  crossEntropyForward(
    M: number,
    N: number,
    x: number,
    ldx: number,
    labels: number,
    ignoreIndex: number,
    loss: number,
  ): void;
  /** dx (+)= g·(softmax(row) - onehot); g = dloss[row·dlossStride]·s (stride 0: one value for all rows); ignored rows give 0. */
  crossEntropyBackward(
    M: number,
    N: number,
    x: number,
    ldx: number,
    labels: number,
    ignoreIndex: number,
    s: number,
    dloss: number,
    dlossStride: number,
    accumulate: number,
    dx: number,
    lddx: number,
  ): void;
  /** Σ (a-b)², as `sum`. */
  squaredDistance(n: number, a: number, b: number): number;
  /** da (+)= s·(a-b). */
  differenceScaled(n: number, s: number, a: number, b: number, accumulate: number, da: number): void;

  // --- the middle dimension of x[outer,n,inner] ---
  /** y[outer,inner] = s·(sum over n of x). */
  sumMiddle(outer: number, n: number, inner: number, s: number, x: number, y: number): void;
  /** dx[outer,n,inner] (+)= s·dy[outer,inner]. */
  spreadMiddle(
    outer: number,
    n: number,
    inner: number,
    s: number,
    dy: number,
    accumulate: number,
    dx: number,
  ): void;

  // --- layer normalisation of the rows of x[M,N]; stats[M,2] holds mean and rstd = 1/√(variance + eps); x̂ = (x - mean)·rstd ---
  /** y = x̂ ⊙ gamma + beta, and stats; gamma and beta are [N] or 0. */
  layerNormForward(
    M: number,
    N: number,
    eps: number,
    x: number,
    ldx: number,
    gamma: number,
    beta: number,
    y: number,
    ldy: number,
    stats: number,
  ): void;
  /** dx (+)= rstd·(g - mean(g) - x̂·mean(g ⊙ x̂)), g = dy ⊙ gamma. */
  layerNormBackward(
    M: number,
    N: number,
    x: number,
    ldx: number,
    gamma: number,
    stats: number,
    dy: number,
    lddy: number,
    accumulate: number,
    dx: number,
    lddx: number,
  ): void;
  /** dgamma[N] (+)= sum over rows of dy ⊙ x̂; dbeta is `sumRows`. */
  layerNormBackwardGamma(
    M: number,
    N: number,
    x: number,
    ldx: number,
    stats: number,
    dy: number,
    lddy: number,
    accumulate: number,
    dgamma: number,
  ): void;

  // --- rows and columns of a table by number; ids are i32[M], each within the table; sums in the order of m ---
  /** y[m,:] = table[ids[m],:]; y is [M,N]; the table's elements have `type`, its rows `step` bytes. */
  gatherRows(
    M: number,
    N: number,
    ids: number,
    type: number,
    table: number,
    step: number,
    y: number,
    ldy: number,
  ): void;
  /** table[ids[m],:] += dy[m,:]; rows whose id is `skip` are left out (-1: none). */
  scatterAddRows(
    M: number,
    N: number,
    ids: number,
    skip: number,
    dy: number,
    lddy: number,
    table: number,
    ldt: number,
  ): void;
  /** h[m,r] = a[r, ids[m]]; h is [M,R]. */
  gatherColumns(M: number, R: number, ids: number, a: number, lda: number, h: number, ldh: number): void;
  /** a[r, ids[m]] += u[m,r]; rows of u whose id is `skip` are left out (-1: none). */
  scatterAddColumns(
    M: number,
    R: number,
    ids: number,
    skip: number,
    u: number,
    ldu: number,
    a: number,
    lda: number,
  ): void;
}
