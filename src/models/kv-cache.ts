/** Keys and values of what a model has read, layer by layer: what decoding a token looks back at. `CausalLM.cache` makes one. */
import type { Runtime } from '../tensor/runtime.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkInteger } from '../values/checks.js';
import { DISPOSE } from '../values/dispose.js';
import type { ModelConfig } from './config.js';

/** What of a model a cache depends on. */
export interface CachedModel {
  readonly runtime: Runtime;
  readonly config: ModelConfig;
}

/** Room for so many tokens of each row of a batch; it lives until `dispose()`. */
export class KvCache {
  /** Rows. */
  readonly batch: number;
  /** Tokens of a row that there is room for. */
  readonly capacity: number;
  /** @internal The model whose it is. */
  readonly owner: CachedModel;
  readonly #layers: readonly { readonly k: Tensor; readonly v: Tensor }[];
  #length = 0;

  /** @internal Sizes are checked. @throws OutOfMemoryError; nothing is left behind then */
  constructor(owner: CachedModel, capacity: number, batch: number) {
    const { runtime, config } = owner;
    this.owner = owner;
    this.capacity = capacity;
    this.batch = batch;
    const shape = [batch, capacity, config.numKeyValueHeads * config.headDim];
    this.#layers = runtime.attempt(() =>
      config.windows.map(() => ({ k: runtime.empty(shape, 'f32'), v: runtime.empty(shape, 'f32') })),
    );
    for (const { k, v } of this.#layers) {
      k.keep();
      v.keep();
    }
  }

  /** Tokens of a row that it holds. */
  get length(): number {
    return this.#length;
  }

  /** Whether its memory was given back. */
  get disposed(): boolean {
    return this.#layers[0]?.k.disposed ?? true;
  }

  /**
   * Forgets what lies behind the first `length` tokens: a beginning that several texts share is read once.
   * @throws TypeError, RangeError for more than it holds
   */
  truncate(length: number): void {
    this.#length = checkInteger('KvCache.truncate: length', length, 0, this.#length);
  }

  /** @internal So many tokens were written to every layer. */
  advance(tokens: number): void {
    this.#length += tokens;
  }

  /** @internal Writes keys and values [batch, T, width] behind those that are there, and gives all of the layer. `advance` makes them count. */
  extend(layer: number, k: Tensor, v: Tensor): { readonly k: Tensor; readonly v: Tensor } {
    const own = this.#layers[layer]!;
    this.#append(own.k, k);
    this.#append(own.v, v);
    return own;
  }

  #append(to: Tensor, from: Tensor): void {
    const f32 = from.runtime.engine.f32();
    const row = to.shape[2]!;
    const size = from.shape[1]! * row;
    for (let b = 0; b < this.batch; b++) {
      const start = from.pointer / 4 + b * size;
      f32.copyWithin(to.pointer / 4 + (b * this.capacity + this.#length) * row, start, start + size);
    }
    to.storage.version++;
  }

  /** Gives the memory back. Harmless when repeated. */
  dispose(): void {
    for (const { k, v } of this.#layers) {
      k.dispose();
      v.dispose();
    }
  }

  /** The same as `dispose`, for `using`. */
  [DISPOSE](): void {
    this.dispose();
  }
}
