/**
 * The kernels' binary interface: what `assembly/index.ts` exports, seen from TypeScript.
 * Pointers are byte addresses in linear memory (unsigned, multiples of 4), sizes are in elements, `ld*` are row strides in elements.
 * Matrices are row-major f32. Sizes come first, then each operand with its stride, the output last, scratch behind it.
 * A null (0) pointer marks an optional operand that is absent. `accumulate` is 0 (overwrite) or 1 (add to the output).
 * Kernels check nothing and allocate nothing: the host guarantees sizes, ranges and scratch (see `plan.ts`).
 */
export interface Kernels {
  /** First free byte of linear memory; the allocator starts here. */
  heapBase(): number;
  /** SIMD level of this build: 0 simd, 1 relaxed-simd. */
  simdLevel(): number;

  // --- the three products of a linear layer; W is [N, K]; `path` and scratch size come from plan.ts ---
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

  // --- skinny products of a LoRA layer; A is [R,K], B is [N,R] ---
  /** h[M,R] = x[M,K]·Aᵀ. */
  loraDown(
    M: number,
    K: number,
    R: number,
    x: number,
    ldx: number,
    a: number,
    lda: number,
    h: number,
    ldh: number,
  ): void;
  /** out[N,R] = s·b[N,R]: places one adapter's scaled B at its columns of the stacked B. */
  loraScaleB(N: number, R: number, s: number, b: number, ldb: number, out: number, ldo: number): void;
  /** u[M,R] = s·dy[M,N]·B; scratch of 4·N·R bytes. */
  loraBackwardHidden(
    M: number,
    N: number,
    R: number,
    s: number,
    dy: number,
    lddy: number,
    b: number,
    ldb: number,
    u: number,
    ldu: number,
    scratch: number,
  ): void;
  /** da[R,K] (+)= u[M,R]ᵀ·x[M,K]. */
  loraGradA(
    M: number,
    K: number,
    R: number,
    u: number,
    ldu: number,
    x: number,
    ldx: number,
    accumulate: number,
    da: number,
    ldda: number,
  ): void;
  /** db[N,R] (+)= s·dy[M,N]ᵀ·h[M,R]; scratch of 4·N·R bytes. */
  loraGradB(
    M: number,
    N: number,
    R: number,
    s: number,
    dy: number,
    lddy: number,
    h: number,
    ldh: number,
    accumulate: number,
    db: number,
    lddb: number,
    scratch: number,
  ): void;
  /** out[N,K] = w + s·B·A; w may be 0 (delta alone) or equal to out (in place). */
  loraMerge(
    N: number,
    K: number,
    R: number,
    s: number,
    b: number,
    ldb: number,
    a: number,
    lda: number,
    w: number,
    ldw: number,
    out: number,
    ldo: number,
  ): void;

  // --- outputs of a layer: columns of [M,N], or its rows; scale and shift may be 0 (absent) ---
  /** y[m,n] = scale[n]·x[m,n] + shift[n]; y may be x. */
  affineColumns(
    M: number,
    N: number,
    x: number,
    ldx: number,
    scale: number,
    shift: number,
    y: number,
    ldy: number,
  ): void;
  /** y[m,n] = scale[m]·x[m,n] + shift[m]; y may be x. */
  affineRows(
    M: number,
    N: number,
    x: number,
    ldx: number,
    scale: number,
    shift: number,
    y: number,
    ldy: number,
  ): void;
  /** out[n] (+)= w[n]·Σ_m a[m,n]·b[m,n]. */
  dotColumns(
    M: number,
    N: number,
    a: number,
    lda: number,
    b: number,
    ldb: number,
    w: number,
    accumulate: number,
    out: number,
  ): void;
  /** out[m] (+)= w[m]·Σ_n a[m,n]·b[m,n]; w and b may be 0 (ones). */
  dotRows(
    M: number,
    N: number,
    a: number,
    lda: number,
    b: number,
    ldb: number,
    w: number,
    accumulate: number,
    out: number,
  ): void;
  /** out[m] = √Σ_n x[m,n]². */
  rowNorms(M: number, N: number, x: number, ldx: number, out: number): void;
  /** sums[n] += Σ_m x[m,n]²; sums are f64. */
  columnSquares(M: number, N: number, x: number, ldx: number, sums: number): void;
  /** out[n] = √sums[n]; sums are f64. */
  rootOfSums(N: number, sums: number, out: number): void;
  /** y = a / b; 0 where b is 0. */
  quotient(n: number, a: number, b: number, y: number): void;
  /** y[N,M] = s·x[M,N]ᵀ. */
  transposeScaled(M: number, N: number, s: number, x: number, ldx: number, y: number, ldy: number): void;

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
  /** y[m,:] = table[ids[m],:]; y is [M,N]. */
  gatherRows(M: number, N: number, ids: number, table: number, ldt: number, y: number, ldy: number): void;
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

  // --- convolution as a product: one image, the rows of cols are the windows of its OH·OW outputs, in the order c, kh, kw ---
  /** cols[OH·OW, C·KH·KW] of x[C,H,W]; zeros where a window reaches over the edge. */
  im2col(
    C: number,
    H: number,
    W: number,
    KH: number,
    KW: number,
    strideH: number,
    strideW: number,
    padH: number,
    padW: number,
    dilH: number,
    dilW: number,
    OH: number,
    OW: number,
    x: number,
    cols: number,
  ): void;
  /** dx[C,H,W] += every element of cols at the place that im2col takes it from. */
  col2im(
    C: number,
    H: number,
    W: number,
    KH: number,
    KW: number,
    strideH: number,
    strideW: number,
    padH: number,
    padW: number,
    dilH: number,
    dilW: number,
    OH: number,
    OW: number,
    cols: number,
    dx: number,
  ): void;

  // --- max pooling of planes x[planes,H,W] -> y[planes,OH,OW] ---
  /** y = largest of each window, NaN if it has one; indices i32 as y: its place h·W + w in the plane, the first of equals, -1 for a window with nothing inside (y is -infinity). */
  maxPool2dForward(
    planes: number,
    H: number,
    W: number,
    KH: number,
    KW: number,
    strideH: number,
    strideW: number,
    padH: number,
    padW: number,
    dilH: number,
    dilW: number,
    OH: number,
    OW: number,
    x: number,
    y: number,
    indices: number,
  ): void;
  /** dx[plane, index] += dy; planes of inPlane = H·W and outPlane = OH·OW elements. */
  maxPool2dBackward(
    planes: number,
    inPlane: number,
    outPlane: number,
    indices: number,
    dy: number,
    dx: number,
  ): void;

  // --- optimisers, one call a contiguous range ---
  /** PyTorch's SGD: g += wd·p; buf = first ? g : momentum·buf + (1-dampening)·g; p -= lr·(nesterov ? g + momentum·buf : buf). buf is 0 when momentum is 0. */
  sgdStep(
    n: number,
    p: number,
    g: number,
    buf: number,
    lr: number,
    momentum: number,
    dampening: number,
    nesterov: number,
    weightDecay: number,
    first: number,
  ): void;
  /** PyTorch's Adam (decoupled 0: g += wd·p) and AdamW (decoupled 1: p *= 1 - lr·wd); stepSize = lr/biasCorrection1, sqrtBias2 = √biasCorrection2: p -= stepSize·m / (√v/sqrtBias2 + eps). */
  adamStep(
    n: number,
    p: number,
    g: number,
    m: number,
    v: number,
    lr: number,
    beta1: number,
    beta2: number,
    eps: number,
    weightDecay: number,
    decoupled: number,
    stepSize: number,
    sqrtBias2: number,
  ): void;

  // --- random numbers: Philox4x32-10; key = (seedLo, seedHi), counter = (element/4, stepLo, layer, stream); element i takes word i%4 ---
  /** The generator itself: four u32 words of a counter and key, to 16 bytes at out. */
  philox(c0: number, c1: number, c2: number, c3: number, k0: number, k1: number, out: number): void;
  /** y = low + (high-low)·u, u in [0,1) with 24 bits. */
  randomUniform(
    n: number,
    seedLo: number,
    seedHi: number,
    stream: number,
    layer: number,
    step: number,
    low: number,
    high: number,
    y: number,
  ): void;
  /** Normal numbers, mean 0, standard deviation std, by a method that uses no JavaScript Math. */
  randomNormal(
    n: number,
    seedLo: number,
    seedHi: number,
    stream: number,
    layer: number,
    step: number,
    std: number,
    y: number,
  ): void;
  /** y = x·keep/(1-p), keep drawn per element with probability 1-p; accumulate adds (the backward uses the same call on dy). */
  dropout(
    n: number,
    seedLo: number,
    seedHi: number,
    stream: number,
    layer: number,
    step: number,
    p: number,
    x: number,
    accumulate: number,
    y: number,
  ): void;
}

/** Levels of the kernels: the same words as the option. */
export type KernelLevel = 'simd' | 'relaxed-simd';

/** Names of the kernel builds, as the files have them: those for threads compute over shared memory. */
export type KernelBuild = KernelLevel | `${KernelLevel}-threads`;
