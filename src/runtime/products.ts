/**
 * The host's side of the three products of a linear layer: chooses the path from the whole M, N, K, gives scratch, and calls
 * the kernel, or cuts the output into shares for the threads of the pool. Called by `ops`.
 */
import type { Kernels } from './abi.js';
import { grainOf, type Plan, planBackwardInput, planBackwardWeight, planForward } from './plan.js';
import type { Pool } from './pool/pool.js';
import { cutOutput, type Share } from './split.js';

/** What `Products` needs of the engine. */
export interface ScratchSource {
  readonly kernels: Kernels;
  readonly level: number;
  scratch(bytes: number): number;
}

export class Products {
  readonly #engine: ScratchSource;
  readonly #pool: Pool | null;

  constructor(engine: ScratchSource, pool: Pool | null) {
    this.#engine = engine;
    this.#pool = pool;
  }

  /** y[M,N] = colScale ⊙ (x·Wᵀ + h·Bᵀ) + bias; arguments as `Kernels.linearForward`. */
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
  ): void {
    const plan = planForward(this.#engine.level, M, N, K, R);
    this.#run('linearForward', plan, M, N, K + R, (part, scratch) => {
      const { row, rows, column, columns } = part;
      return [
        plan.path,
        rows,
        columns,
        K,
        R,
        x + 4 * row * ldx,
        ldx,
        w + 4 * column * ldw,
        ldw,
        h + 4 * row * ldh,
        ldh,
        b + 4 * column * ldb,
        ldb,
        colScale === 0 ? 0 : colScale + 4 * column,
        bias === 0 ? 0 : bias + 4 * column,
        y + 4 * (row * ldy + column),
        ldy,
        scratch,
      ];
    });
  }

  /** dx[M,K] (+)= dy·W + u·A; arguments as `Kernels.linearBackwardInput`. */
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
  ): void {
    const plan = planBackwardInput(this.#engine.level, M, N, K, R);
    this.#run('linearBackwardInput', plan, M, K, N + R, (part, scratch) => {
      const { row, rows, column, columns } = part;
      return [
        plan.path,
        rows,
        N,
        columns,
        R,
        dy + 4 * row * lddy,
        lddy,
        w + 4 * column,
        ldw,
        u + 4 * row * ldu,
        ldu,
        a + 4 * column,
        lda,
        accumulate,
        dx + 4 * (row * lddx + column),
        lddx,
        scratch,
      ];
    });
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
    this.#run('linearBackwardWeight', plan, N, K, M, (part, scratch) => {
      const { row, rows, column, columns } = part;
      return [
        plan.path,
        M,
        rows,
        columns,
        dy + 4 * row,
        lddy,
        x + 4 * column,
        ldx,
        accumulate,
        dw + 4 * (row * lddw + column),
        lddw,
        scratch,
      ];
    });
  }

  /** Calls a kernel on the whole output, or on shares of it; `call` gives the arguments of a share. */
  #run(
    kernel: 'linearForward' | 'linearBackwardInput' | 'linearBackwardWeight',
    plan: Plan,
    rows: number,
    columns: number,
    depth: number,
    call: (part: Share, scratch: number) => number[],
  ): void {
    const { kernels } = this.#engine;
    const work = 2 * rows * columns * depth;
    if (this.#pool?.worth(work)) {
      const { threads } = this.#pool;
      const parts = cutOutput(rows, columns, grainOf(plan), threads);
      if (parts.length > 1) {
        const scratch = this.#engine.scratch(plan.scratchBytes * threads);
        const shares = parts.map((part) => call(part, scratch));
        this.#pool.run(kernel, shares, plan.scratchBytes, work);
        return;
      }
    }
    const whole = call({ row: 0, rows, column: 0, columns }, this.#engine.scratch(plan.scratchBytes));
    (kernels[kernel] as (...values: number[]) => void)(...whole);
  }
}
