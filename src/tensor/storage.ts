/** A reference-counted block of linear memory, shared by the tensors that view it, with the version that its content has. */
import type { Engine } from '../engine/engine.js';

export class Storage {
  readonly engine: Engine;
  readonly bytes: number;
  /** Counts the changes made in place: a tape that saved the content notices. */
  version = 0;
  #pointer: number;
  #references = 1;

  constructor(engine: Engine, bytes: number) {
    this.engine = engine;
    this.bytes = bytes;
    this.#pointer = engine.allocate(bytes);
  }

  get pointer(): number {
    return this.#pointer;
  }

  get alive(): boolean {
    return this.#references > 0;
  }

  /** True when more than one holder sees the content. */
  get shared(): boolean {
    return this.#references > 1;
  }

  retain(): this {
    this.#references++;
    return this;
  }

  release(): void {
    if (--this.#references === 0) {
      this.engine.free(this.#pointer, this.bytes);
      this.#pointer = 0;
    }
  }
}
