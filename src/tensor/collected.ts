/**
 * Gradients that an operation takes while its forward runs, kept apart from the leaves until its backward hands them on. They lie
 * in no scope: whoever collects disposes of them. Called by operations that leave their gradients in one pass.
 */
import { temporary } from './gathered.js';
import type { GradTarget, TapeNode } from './tape.js';
import type { Tensor } from './tensor.js';

export class Collected {
  readonly #places = new Map<Tensor | TapeNode, Tensor>();
  readonly #runtime: Tensor['runtime'];

  constructor(runtime: Tensor['runtime']) {
    this.#runtime = runtime;
  }

  /** Where the next contribution to a gradient goes. @throws OutOfMemoryError */
  placeOf(edge: Tensor | TapeNode): GradTarget {
    const held = this.#places.get(edge);
    if (held !== undefined) return { pointer: held.pointer, accumulate: 1 };
    const made = temporary({ runtime: this.#runtime, shape: edge.shape });
    this.#places.set(edge, made);
    return { pointer: made.pointer, accumulate: 0 };
  }

  /** What the gradients are of, in the order in which they were first met. */
  get edges(): (Tensor | TapeNode)[] {
    return [...this.#places.keys()];
  }

  /** The gradients, in the same order. */
  get gradients(): Tensor[] {
    return [...this.#places.values()];
  }

  dispose(): void {
    for (const gradient of this.#places.values()) gradient.dispose();
  }
}
