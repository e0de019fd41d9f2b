/**
 * The host's side of the three products of a linear layer: chooses the path from the whole M, N, K, gives scratch, and calls
 * the kernel, or cuts the output into shares for the threads of the pool. Called by `ops`.
 */

import { PLAIN_DTYPES } from '../values/dtypes.js';
import type { Kernels } from './abi.js';
import {
  type BackwardInputOperands,
  type BackwardWeightOperands,
  backwardInputCall,
  backwardWeightCall,
  type Call,
  type ForwardOperands,
  forwardCall,
} from './calls.js';
import { OutOfMemoryError } from './errors.js';
import { type Span, spanOf } from './operands.js';
import { grainOf, planBackwardInput, planBackwardWeight, planForward } from './plan.js';
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

const F32 = PLAIN_DTYPES.f32.code;

export class Products {
  readonly #engine: ScratchSource;
  readonly #pool: Pool | null;

  constructor(engine: ScratchSource, pool: Pool | null) {
    this.#engine = engine;
    this.#pool = pool;
  }

  /**
   * y = colScale ⊙ (x·Wᵀ + left·rightᵀ) + bias.
   * @param planRows - the rows that the path is chosen for: those of the whole batch, where x is a part of it
   */
  forward(operands: ForwardOperands, planRows = operands.x.rows): void {
    const { x, w, low } = operands;
    const path = planForward(this.#engine.level, planRows, w.rows, x.columns, low.left.columns);
    this.#run(path, w.code, x.columns, forwardCall(path, operands));
  }

  /** dx (+)= dy·W + left·right; `planRows` as in `forward`. */
  backwardInput(operands: BackwardInputOperands, planRows = operands.dx.rows): void {
    const { w, low, dx } = operands;
    const path = planBackwardInput(this.#engine.level, planRows, w.rows, dx.columns, low.left.columns);
    this.#run(path, w.code, dx.columns, backwardInputCall(path, operands));
  }

  /** dW (+)= dyᵀ·x. */
  backwardWeight(operands: BackwardWeightOperands): void {
    const { x, dw } = operands;
    const path = planBackwardWeight(this.#engine.level, x.rows, dw.rows, dw.columns);
    this.#run(path, F32, dw.columns, backwardWeightCall(path, operands));
  }

  /** Makes a call, on all threads where that pays; `K` is the length of the weight's rows. */
  #run(path: number, code: number, K: number, call: Call): void {
    const { kernels } = this.#engine;
    const bytes = kernels.productScratch(path, code, K) >>> 0;
    const { output, depth } = call;
    const flops = 2 * output.rows * output.columns * depth;
    if ((this.#pool?.worth(flops) ?? false) && this.#share(path, bytes, flops, call)) return;
    const kernel = kernels[call.kernel] as (...args: number[]) => void;
    kernel(...call.whole(this.#engine.scratch(bytes)));
  }

  /** Computes the output in shares on all threads; false where it cannot be cut, or memory has no room for their scratch. */
  #share(path: number, bytes: number, flops: number, { kernel, output, share }: Call): boolean {
    const { threads } = this.#pool!;
    const parts = cutOutput(output.rows, output.columns, grainOf(path), threads);
    if (parts.length <= 1) return false;
    const scratch = this.#roomyScratch(bytes * threads);
    if (scratch === null) return false;
    const shares = parts.map((part) => share(part, scratch));
    try {
      this.#pool!.run(kernel, shares, bytes, flops);
    } catch (error) {
      // A worker that was given up may be late and not dead: it still writes.
      this.#engine.fence(spanOf(output), this.#pool!.ended);
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
