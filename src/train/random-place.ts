/** Where the random numbers of a runtime and the masks of a model stand, to be put back after what must not move them. */
import type { MaskCounter } from '../nn/mask-counter.js';
import type { Module } from '../nn/module.js';
import type { RandomState } from '../tensor/random.js';
import type { Runtime } from '../tensor/runtime.js';

/** The counters of masks in a model. */
export function masksIn(model: Module): MaskCounter[] {
  return model.namedModules().flatMap(([, { masks }]) => (masks === null ? [] : [masks]));
}

export class RandomPlace {
  readonly #runtime: Runtime;
  readonly #state: RandomState;
  readonly #masks: readonly { readonly masks: MaskCounter; readonly step: number }[];

  constructor(runtime: Runtime, masks: readonly MaskCounter[]) {
    this.#runtime = runtime;
    this.#state = runtime.randomState();
    this.#masks = masks.map((one) => ({ masks: one, step: one.step }));
  }

  /** Masks, and the next draws; places of layers that were made meanwhile stay theirs. */
  putBack(): void {
    const { layers } = this.#runtime.randomState();
    this.#runtime.setRandomState({ ...this.#state, layers });
    for (const { masks, step } of this.#masks) masks.step = step;
  }
}
