/** What a language model has beside its products: normalisation by root mean square, rotary positions, gated activation, attention. */
export interface TransformerKernels {
  // --- root mean square of the rows of x[M,N]; stats[M] holds rstd = 1/√(mean of x² + eps); x̂ = x·rstd ---
  /** y = x̂ ⊙ gamma, and stats; gamma is [N]. */
  rmsNormForward(
    M: number,
    N: number,
    eps: number,
    x: number,
    ldx: number,
    gamma: number,
    y: number,
    ldy: number,
    stats: number,
  ): void;
  /** dx (+)= rstd·(g - x̂·mean(g ⊙ x̂)), g = dy ⊙ gamma. */
  rmsNormBackward(
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
  /** dgamma[N] (+)= sum over rows of dy ⊙ x̂, in their order. */
  rmsNormBackwardGamma(
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

  // --- rotary positions: heads of 2·half elements, of which j and j + half turn together ---
  /** cos and sin [length, half] of p·theta^(-j/half)/factors[j], times scale; factors is [half] or 0 (ones); angles below 2^20. */
  rotaryTable(
    length: number,
    half: number,
    theta: number,
    scale: number,
    factors: number,
    cos: number,
    sin: number,
  ): void;
  /** y[M, heads·2·half] (+)= x turned, or with `inverse` turned back; row m has position positions[(first + m) mod period], without them (first + m) mod period. */
  rotate(
    M: number,
    heads: number,
    half: number,
    x: number,
    ldx: number,
    positions: number,
    first: number,
    period: number,
    length: number,
    cos: number,
    sin: number,
    inverse: number,
    accumulate: number,
    y: number,
    ldy: number,
  ): void;

  // --- gated activation of n contiguous elements: silu(x) = x/(1 + e^-x) ---
  /** y = silu(gate) ⊙ up; y may be either. */
  swigluForward(n: number, gate: number, up: number, y: number): void;
  /** dup (+)= dy ⊙ silu(gate). */
  swigluBackwardUp(n: number, gate: number, dy: number, accumulate: number, dup: number): void;
  /** dgate (+)= dy ⊙ up ⊙ silu'(gate). */
  swigluBackwardGate(
    n: number,
    gate: number,
    up: number,
    dy: number,
    accumulate: number,
    dgate: number,
  ): void;

  // --- causal attention over matrices without gaps: q, y [B,T,heads,D], k, v [B,S,kvHeads,D], group = heads/kvHeads. The query at t sees
  // the keys from max(starts[b,t], offset + t - window + 1) to offset + t; starts i32[B,T] or 0, window 0 for none. Work comes in panels of
  // eight of a key head's T·group rows: B·kvHeads·⌈T·group/8⌉ of them, in the order of b, then of the key head ---
  /** Bytes of scratch of `attentionForward`: a number that may be larger than any memory. */
  attentionScratch(S: number, D: number): number;
  /** y = softmax(scale·q·kᵀ)·v of the panels from `from` to below `to`; lse[B,T,heads] = log Σ e^(scale·q·k), or 0. */
  attentionForward(
    from: number,
    to: number,
    T: number,
    S: number,
    heads: number,
    kvHeads: number,
    D: number,
    scale: number,
    window: number,
    offset: number,
    q: number,
    k: number,
    v: number,
    starts: number,
    y: number,
    lse: number,
    scratch: number,
  ): void;
  /** Bytes of scratch of the two below, over `rows` keys for the first and queries for the second. */
  attentionBackwardScratch(rows: number, D: number): number;
  /** dq (+)= scale·ds·k of panels as those of `attentionForward`; ds = p·(dy·v - delta), p = e^(scale·q·k - lse); delta[B,T,heads] = Σ dy·y. */
  attentionBackwardQueries(
    from: number,
    to: number,
    T: number,
    S: number,
    heads: number,
    kvHeads: number,
    D: number,
    scale: number,
    window: number,
    offset: number,
    q: number,
    k: number,
    v: number,
    starts: number,
    lse: number,
    dy: number,
    delta: number,
    accumulate: number,
    dq: number,
    scratch: number,
  ): void;
  /** dk (+)= scale·dsᵀ·q and dv (+)= pᵀ·dy, either may be 0, of panels of eight keys: ⌈S/8⌉ for each b, then key head. */
  attentionBackwardKeys(
    from: number,
    to: number,
    T: number,
    S: number,
    heads: number,
    kvHeads: number,
    D: number,
    scale: number,
    window: number,
    offset: number,
    q: number,
    k: number,
    v: number,
    starts: number,
    lse: number,
    dy: number,
    delta: number,
    accumulateK: number,
    dk: number,
    accumulateV: number,
    dv: number,
    scratch: number,
  ): void;
}
