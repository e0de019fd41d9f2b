/**
 * Where a layer's next dropout mask stands in the runtime's generator: held by every layer that drops, so that the masks of a
 * whole model can be read and put back (`dropoutState`).
 */
import type { MaskPlace } from '../ops/dropout.js';
import { beforeMove } from '../tensor/random-watch.js';
import type { Runtime } from '../tensor/runtime.js';

export class MaskCounter {
  readonly #runtime: Runtime;
  /** The layer's place in the generator's counter. */
  layer: number;
  /** The number of the next mask. */
  step = 0;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
    this.layer = runtime.engine.layers++;
  }

  /** The next mask; a forward that fails gives it back, so that its next try has it again. */
  take(): MaskPlace {
    beforeMove(this.#runtime, this);
    const mask = this.at(this.step);
    const before = this.step++;
    this.#runtime.running.ifFails(() => {
      this.step = before;
    });
    return mask;
  }

  /** The mask of a step, without counting. */
  at(step: number): MaskPlace {
    const { seedLow, seedHigh } = this.#runtime.engine;
    return { seedLow, seedHigh, layer: this.layer, step };
  }
}
