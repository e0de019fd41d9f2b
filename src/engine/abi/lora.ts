/** A LoRA layer: its skinny products, with A [R,K] and B [N,R], and the arithmetic of its outputs. */
export interface LoraKernels {
  // --- skinny products ---
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
}
