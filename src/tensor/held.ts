/**
 * What of a tensor lies in memory: its storage, who holds it, and when it is given back. Tensor adds what the elements are and
 * where they come from; nothing else extends it.
 */
import { COPY, THIS_COPY } from '../values/copy.js';
import { DISPOSE } from '../values/dispose.js';
import { type DType, type Shape, showShape, sizeOf } from '../values/shape.js';
import type { Runtime } from './runtime.js';
import type { Scope, Scoped } from './scope.js';
import type { Storage } from './storage.js';

/** Releases the storage of a tensor that was dropped without dispose(). What a scope holds is not registered: that takes longer than making it. */
const forgotten = new FinalizationRegistry<Storage>((storage) => {
  storage.engine.liveTensors--;
  storage.release();
});

/** Numbers with a shape in the memory of a runtime, held until they are disposed of. */
export abstract class Held implements Scoped {
  readonly runtime: Runtime;
  readonly shape: Shape;
  readonly dtype: DType;
  /** Number of elements. */
  readonly size: number;
  /** @internal */ scope: Scope | null = null;
  /** @internal */ readonly offset: number;
  #storage: Storage | null;
  #registered = false;

  /** @internal Takes over one reference to `storage`. Whoever makes it puts it into a scope or keeps it. */
  constructor(runtime: Runtime, storage: Storage, offset: number, shape: Shape, dtype: DType) {
    this.runtime = runtime;
    this.shape = shape;
    this.dtype = dtype;
    this.size = sizeOf(shape);
    this.offset = offset;
    this.#storage = storage;
    runtime.engine.liveTensors++;
  }

  get disposed(): boolean {
    return this.#storage === null;
  }

  /** @internal @throws Error after dispose */
  get storage(): Storage {
    if (this.#storage === null)
      throw new Error(`Tensor: ${showShape(this.shape)} ${this.dtype} used after dispose()`);
    return this.#storage;
  }

  /** @internal Address of the first element. */
  get pointer(): number {
    return this.storage.pointer + this.offset;
  }

  /** Takes the tensor out of every scope: it lives until `dispose()`. */
  keep(): this {
    this.checkLive('keep');
    this.scope = null;
    this.leftAlone();
    return this;
  }

  /** Gives the memory back, at once unless the tape or another tensor still needs it. Harmless when repeated. */
  dispose(): void {
    this.scope = null;
    this.release();
  }

  /** @internal */
  get [COPY](): object {
    return THIS_COPY;
  }

  /** The same as `dispose`, for `using`. */
  [DISPOSE](): void {
    this.dispose();
  }

  /** @internal */
  release(): void {
    if (this.#storage === null) return;
    const storage = this.#storage;
    this.#storage = null;
    this.runtime.engine.liveTensors--;
    if (this.#registered) forgotten.unregister(this);
    storage.release();
  }

  /** @internal */
  leftAlone(): void {
    if (this.#registered) return;
    this.#registered = true;
    forgotten.register(this, this.storage, this);
  }

  /** @internal */
  abstract dependencies(): Iterable<Scoped>;

  /** @internal @param what - the member that was called @throws Error */
  checkLive(what: string): void {
    if (this.#storage === null)
      throw new Error(
        `Tensor.${what}: the tensor ${showShape(this.shape)} ${this.dtype} was used after dispose()`,
      );
    if (this.runtime.engine.disposed) throw new Error(`Tensor.${what}: the runtime was used after dispose()`);
  }
}
