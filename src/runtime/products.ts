/**
 * The host's side of the three products of a linear layer: chooses the path from the whole M, N, K, gives scratch, calls.
 * Called by `ops`. The one place where a product could be split over threads.
 */
import type { Kernels } from './abi.js';
import { planBackwardInput, planBackwardWeight, planForward } from './plan.js';

/** What `Products` needs of the engine. */
export interface ScratchSource {
  readonly kernels: Kernels;
  readonly level: number;
  scratch(bytes: number): number;
}

export class Products {
  readonly #engine: ScratchSource;

  constructor(engine: ScratchSource) {
    this.#engine = engine;
  }

  /**
   * y[M,N] = colScale ⊙ (x·Wᵀ + h·Bᵀ) + bias; arguments as `Kernels.linearForward`.
   * @param planRows - the rows that the path is chosen for: those of the whole batch, where M is a part of it
   */
  forward(
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
    planRows = M,
  ): void {
    const plan = planForward(this.#engine.level, planRows, N, K, R);
    const scratch = this.#engine.scratch(plan.scratchBytes);
    this.#engine.kernels.linearForward(
      plan.path,
      M,
      N,
      K,
      R,
      x,
      ldx,
      w,
      ldw,
      h,
      ldh,
      b,
      ldb,
      colScale,
      bias,
      y,
      ldy,
      scratch,
    );
  }

  /** dx[M,K] (+)= dy·W + u·A; arguments as `Kernels.linearBackwardInput`, `planRows` as in `forward`. */
  backwardInput(
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
    planRows = M,
  ): void {
    const plan = planBackwardInput(this.#engine.level, planRows, N, K, R);
    const scratch = this.#engine.scratch(plan.scratchBytes);
    this.#engine.kernels.linearBackwardInput(
      plan.path,
      M,
      N,
      K,
      R,
      dy,
      lddy,
      w,
      ldw,
      u,
      ldu,
      a,
      lda,
      accumulate,
      dx,
      lddx,
      scratch,
    );
  }

  /** dw[N,K] (+)= dyᵀ·x; arguments as `Kernels.linearBackwardWeight`. */
  backwardWeight(
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
  ): void {
    const plan = planBackwardWeight(this.#engine.level, M, N, K);
    const scratch = this.#engine.scratch(plan.scratchBytes);
    this.#engine.kernels.linearBackwardWeight(
      plan.path,
      M,
      N,
      K,
      dy,
      lddy,
      x,
      ldx,
      accumulate,
      dw,
      lddw,
      scratch,
    );
  }
}
