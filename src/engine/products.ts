/**
 * The host's side of the three products of a linear layer: chooses the path from the whole M, N, K, gives scratch, and calls
 * the kernel, or cuts the output into shares for the threads of the pool (`sharing.ts`). Called by `ops`.
 */

import { DTYPE_INFO } from '../values/dtypes.js';
import {
  type BackwardInputOperands,
  type BackwardWeightOperands,
  backwardInputCall,
  backwardWeightCall,
  type Call,
  type ForwardOperands,
  forwardCall,
} from './calls.js';
import { spanOf } from './operands.js';
import { grainOf, planBackwardInput, planBackwardWeight, planForward } from './plan.js';
import type { ScratchSource, SharedWork, Sharing } from './sharing.js';
import { cutOutput } from './split.js';

const F32 = DTYPE_INFO.f32.code;

export class Products {
  readonly #engine: ScratchSource;
  readonly #sharing: Sharing;

  constructor(engine: ScratchSource, sharing: Sharing) {
    this.#engine = engine;
    this.#sharing = sharing;
  }

  /**
   * y = colScale ⊙ (x·Wᵀ + left·rightᵀ) + bias.
   * @param planRows - the rows that the path is chosen for: those of the whole batch, where x is a part of it
   */
  forward(operands: ForwardOperands, planRows = operands.x.rows): void {
    const { x, w, low } = operands;
    const path = planForward(this.#engine.level, planRows, w.rows, x.columns, low.left.columns, w.code);
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
  #run(path: number, code: number, K: number, { kernel, output, depth, whole, share }: Call): void {
    const work: SharedWork = {
      kernel,
      flops: 2 * output.rows * output.columns * depth,
      bytes: this.#engine.kernels.productScratch(path, code, K) >>> 0,
      outputs: () => [spanOf(output)],
    };
    this.#sharing.run(work, whole, (threads, scratch) =>
      cutOutput(output.rows, output.columns, grainOf(path, code), threads).map((part) =>
        share(part, scratch),
      ),
    );
  }
}
