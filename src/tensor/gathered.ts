/**
 * The gradients that a running backward has for leaves and has not handed over: no leaf's `grad` changes before the whole
 * walk succeeded. A leaf without a gradient is written straight into the place that becomes its `grad`; one that has a
 * gradient, or that a backward around this one holds a place of, gets a temporary, which is added at the end. Called by `walk.ts`.
 */
import { bytesOf } from '../values/dtypes.js';
import { Storage } from './storage.js';
import type { GradTarget } from './tape.js';
import { Tensor } from './tensor.js';

interface Place {
  readonly tensor: Tensor;
  /** Whether the leaf made it: it becomes the leaf's `grad` as it is. */
  readonly own: boolean;
}

export class Gathered {
  /** The backward that this one runs inside of: in an operation's backward function. */
  readonly outer: Gathered | null;
  /** Leaves with this number or a later one were made since the outermost backward began. */
  readonly #since: number;
  readonly #places = new Map<Tensor, Place>();

  constructor(outer: Gathered | null) {
    this.outer = outer;
    this.#since = outer === null ? Tensor.made : outer.#since;
  }

  /** Where the next contribution to a leaf's gradient goes. @throws OutOfMemoryError */
  placeOf(leaf: Tensor): GradTarget {
    const held = this.#places.get(leaf);
    if (held !== undefined) return { pointer: held.tensor.pointer, accumulate: 1 };
    const own = leaf.grad === null && !(this.outer?.holds(leaf) ?? false);
    const tensor = own ? leaf.makeGrad() : temporary(leaf);
    this.#places.set(leaf, { tensor, own });
    return { pointer: tensor.pointer, accumulate: 0 };
  }

  /**
   * The walk succeeded: what it gathered becomes, or is added to, the leaves' gradients; inside of another backward it goes
   * on to that one, but for leaves that were made in there. Changes nothing before all memory is there.
   * @throws OutOfMemoryError
   */
  handOver(): void {
    const [ready, waiting]: [Tensor[], Tensor[]] = [[], []];
    for (const leaf of this.#places.keys()) {
      if (this.outer === null || leaf.number >= this.#since) ready.push(leaf);
      else waiting.push(leaf);
    }
    // A gradient that somebody took away during the walk leaves nothing to add to.
    for (const leaf of ready) {
      const { own, tensor } = this.#places.get(leaf)!;
      if (own || leaf.grad !== null || leaf.disposed) continue;
      const fresh = leaf.makeGrad();
      contribute(tensor, fresh.pointer, 0);
      this.#places.set(leaf, { tensor: fresh, own: true });
      tensor.dispose();
    }
    for (const leaf of ready) finish(leaf, this.#places.get(leaf)!);
    for (const leaf of waiting) this.outer!.#take(leaf, this.#places.get(leaf)!);
    this.#places.clear();
  }

  /** The walk failed: every leaf's gradient is what it was. */
  giveUp(): void {
    for (const [leaf, place] of this.#places) drop(leaf, place);
    this.#places.clear();
  }

  holds(leaf: Tensor): boolean {
    return this.#places.has(leaf) || (this.outer?.holds(leaf) ?? false);
  }

  #take(leaf: Tensor, place: Place): void {
    const held = this.#places.get(leaf);
    if (held === undefined) {
      this.#places.set(leaf, place);
      return;
    }
    contribute(place.tensor, held.tensor.pointer, 1);
    drop(leaf, place);
  }
}

/** Memory for a gradient that no leaf knows of: in no scope, disposed of by hand. */
export function temporary({ runtime, shape }: Pick<Tensor, 'runtime' | 'shape'>): Tensor {
  return new Tensor(runtime, new Storage(runtime.engine, bytesOf(shape, 'f32')), 0, shape, 'f32');
}

/** Writes a gradient to a place, or adds it to what is there. */
export function contribute(
  { runtime, size, pointer: from }: Tensor,
  pointer: number,
  accumulate: 0 | 1,
): void {
  const { kernels } = runtime.engine;
  if (accumulate === 1) kernels.axpy(size, 1, from, pointer);
  else kernels.scale(size, 1, from, pointer);
}

function finish(leaf: Tensor, place: Place): void {
  const { grad } = leaf;
  if (leaf.disposed) drop(leaf, place);
  else if (grad === null) leaf.takeGrad(place.tensor);
  else {
    contribute(place.tensor, grad.pointer, 1);
    grad.storage.version++;
    drop(leaf, place);
  }
}

function drop(leaf: Tensor, { tensor, own }: Place): void {
  if (own) leaf.dropGrad(tensor);
  else tensor.dispose();
}
