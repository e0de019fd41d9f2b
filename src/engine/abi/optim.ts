/** Optimisers, one call a contiguous range. */
export interface OptimKernels {
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
}
