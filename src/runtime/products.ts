/**
 * The host's side of the three products of a linear layer: chooses the path from the whole M, N, K, gives scratch, and calls
 * the kernel, or cuts the output into shares for the threads of the pool. Called by `ops`.
 */
import type { Kernels } from './abi.js';
import { OutOfMemoryError } from './errors.js';
import { backwardInputJob, backwardWeightJob, forwardJob, type Job, type Span } from './jobs.js';
import { grainOf, type Plan, planBackwardInput, planBackwardWeight, planForward } from './plan.js';
import type { Pool } from './pool/pool.js';
import { cutOutput } from './split.js';

/** What `Products` needs of the engine. */
export interface ScratchSource {
  readonly kernels: Kernels;
  readonly level: number;
  scratch(bytes: number): number;
  /** Lets nobody use the span, or the scratch, again before `ended`. */
  fence(span: Span, ended: Promise<unknown>): void;
}

export class Products {
  readonly #engine: ScratchSource;
  readonly #pool: Pool | null;

  constructor(engine: ScratchSource, pool: Pool | null) {
    this.#engine = engine;
    this.#pool = pool;
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
    const { path, scratchBytes } = plan;
    if (this.#isShared(M * N * (K + R))) {
      const job = forwardJob(path, M, N, K, R, x, ldx, w, ldw, h, ldh, b, ldb, colScale, bias, y, ldy);
      if (this.#share(plan, job)) return;
    }
    const { kernels } = this.#engine;
    const scratch = this.#engine.scratch(scratchBytes);
    kernels.linearForward(path, M, N, K, R, x, ldx, w, ldw, h, ldh, b, ldb, colScale, bias, y, ldy, scratch);
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
    const { path, scratchBytes } = plan;
    if (this.#isShared(M * K * (N + R))) {
      const job = backwardInputJob(path, M, N, K, R, dy, lddy, w, ldw, u, ldu, a, lda, accumulate, dx, lddx);
      if (this.#share(plan, job)) return;
    }
    const { kernels } = this.#engine;
    const scratch = this.#engine.scratch(scratchBytes);
    kernels.linearBackwardInput(
      path,
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
    const { path, scratchBytes } = plan;
    if (this.#isShared(N * K * M)) {
      const job = backwardWeightJob(path, M, N, K, dy, lddy, x, ldx, accumulate, dw, lddw);
      if (this.#share(plan, job)) return;
    }
    const { kernels } = this.#engine;
    const scratch = this.#engine.scratch(scratchBytes);
    kernels.linearBackwardWeight(path, M, N, K, dy, lddy, x, ldx, accumulate, dw, lddw, scratch);
  }

  /** Whether a product of so many multiply-adds repays the threads of the pool, if there is one. */
  #isShared(multiplyAdds: number): boolean {
    return this.#pool?.worth(2 * multiplyAdds) ?? false;
  }

  /** Computes the output in shares on all threads; false where it cannot be cut, or memory has no room for their scratch. */
  #share(plan: Plan, job: Job): boolean {
    const { kernel, rows, columns, depth } = job;
    const { threads } = this.#pool!;
    const parts = cutOutput(rows, columns, grainOf(plan.path), threads);
    if (parts.length <= 1) return false;
    const scratch = this.#roomyScratch(plan.scratchBytes * threads);
    if (scratch === null) return false;
    const shares = parts.map((part) => job.share(part, scratch));
    try {
      this.#pool!.run(kernel, shares, plan.scratchBytes, 2 * rows * columns * depth);
    } catch (error) {
      // A worker that was given up may be late and not dead: it still writes.
      this.#engine.fence(job.output, this.#pool!.ended);
      throw error;
    }
    return true;
  }

  /** Scratch, or null where memory is too small for it: what one thread can compute must not fail for having more. */
  #roomyScratch(bytes: number): number | null {
    try {
      return this.#engine.scratch(bytes);
    } catch (error) {
      if (error instanceof OutOfMemoryError) return null;
      throw error;
    }
  }
}
