/** CausalLM: a language model of the Llama family as a Module, under transformers' names. `loadModel` makes one. */
import type { Embedding } from '../nn/embedding.js';
import type { Linear } from '../nn/linear.js';
import { Module } from '../nn/module.js';
import type { RMSNorm } from '../nn/rms-norm.js';
import { checkpoint } from '../ops/checkpoint.js';
import { type Indices, indicesOf } from '../ops/indices.js';
import { type RotaryTable, rotaryTable } from '../ops/rotary.js';
import { checkTensor } from '../tensor/check.js';
import type { Runtime } from '../tensor/runtime.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkInteger, describe } from '../values/checks.js';
import { showShape } from '../values/shape.js';
import type { ModelConfig } from './config.js';
import { DecoderLayer, type RunContext } from './decoder-layer.js';
import { KvCache } from './kv-cache.js';
import type { WeightMaker } from './weights.js';

/** Embedding, blocks and the last norm. */
export class DecoderStack extends Module {
  readonly embed_tokens: Embedding;
  readonly layers: DecoderLayer[];
  readonly norm: RMSNorm;

  /** @internal */
  constructor(make: WeightMaker, config: ModelConfig) {
    super();
    this.embed_tokens = make.embedding('model.embed_tokens', config.vocabSize, config.hiddenSize);
    this.layers = Array.from({ length: config.numHiddenLayers }, (_, i) => new DecoderLayer(make, config, i));
    this.norm = make.norm(config.hiddenSize, config.rmsNormEps);
  }

  /** Of each block's temporaries only what backward reads outlives it. @param ids - int32 [B, T] @returns [B, T, hidden] */
  override forward(ids: Tensor, run: RunContext): Tensor {
    let x = this.embed_tokens.forward(ids);
    for (const layer of this.layers) {
      const read = x;
      const block = (input: Tensor): Tensor => layer.forward(input, run);
      x = read.runtime.scope(() => (run.checkpoint === true ? checkpoint(block, read) : block(read)));
      read.dispose();
    }
    const y = this.norm.forward(x);
    x.dispose();
    return y;
  }
}

/** A language model: token ids to logits. Its parameters are frozen; adapters attach over it as over any Module. */
export class CausalLM extends Module {
  readonly model: DecoderStack;
  readonly lm_head: Linear;
  /**
   * Whether training keeps only the input of each block for backward, which computes the block again: less memory for the time of
   * one more forward, with the same bits. Default false.
   */
  gradientCheckpointing = false;
  /** @internal */ readonly runtime: Runtime;
  readonly #config: ModelConfig;
  readonly #table: RotaryTable;

  /** @internal Use `loadModel`. @param length - positions that there is a table for */
  constructor(make: WeightMaker, config: ModelConfig, length: number) {
    super();
    const { runtime } = make;
    this.runtime = runtime;
    this.#config = config;
    this.model = new DecoderStack(make, config);
    this.lm_head = config.tieWordEmbeddings
      ? make.tied(this.model.embed_tokens)
      : make.linear('lm_head', config.hiddenSize, config.vocabSize, false);
    const { theta, factors } = config.rope;
    this.#table = rotaryTable(runtime, {
      ...{ headDim: config.headDim, length, theta },
      ...(factors === null ? {} : { factors }),
    });
  }

  /** Sizes and options of the model. */
  get config(): ModelConfig {
    return this.#config;
  }

  /** The head: `'all-linear'` leaves it out. */
  override get outputEmbeddings(): Module {
    return this.lm_head;
  }

  /** Tokens of a row at most. */
  get maxLength(): number {
    return this.#table.length;
  }

  /**
   * @param ids - int32 [B, T], each below the vocabulary's size
   * @param starts - int32 [B·T]: the first token that each may see, for packed rows; default 0
   * @param positions - int32 [T] or [B·T]; default 0 to T - 1
   * @returns logits [B, T, vocab]
   * @throws TypeError, RangeError, OutOfMemoryError
   */
  override forward(ids: Tensor, starts?: Indices, positions?: Indices): Tensor {
    return this.runtime.attempt(() =>
      this.lm_head.forward(this.#hidden('CausalLM.forward', ids, starts, positions)),
    );
  }

  /** What the head reads: [B, T, hidden]. @param ids - as those of `forward` @throws TypeError, RangeError, OutOfMemoryError */
  hidden(ids: Tensor, starts?: Indices, positions?: Indices): Tensor {
    return this.runtime.attempt(() => this.#hidden('CausalLM.hidden', ids, starts, positions));
  }

  #hidden(where: string, ids: Tensor, starts?: Indices, positions?: Indices): Tensor {
    const most = positions === undefined ? this.maxLength : Number.POSITIVE_INFINITY;
    const [B, T] = this.#checkIds(where, ids, most);
    const { runtime: rt, gradientCheckpointing: checkpoint } = this;
    // Brought into memory once, for all blocks.
    const first = indicesOf(`${where}: starts`, rt, starts, [B * T], (i) => (i % T) + 1);
    const places = indicesOf(`${where}: positions`, rt, positions, [T, B * T], this.maxLength);
    const y = this.model.forward(ids, {
      ...{ table: this.#table, cache: null, checkpoint },
      ...(first === null ? {} : { starts: first }),
      ...(places === null ? {} : { positions: places }),
    });
    // Blocks that backward computes again read them once more.
    if (!checkpoint)
      for (const made of [first, places]) if (made !== starts && made !== positions) made?.dispose();
    return y;
  }

  /**
   * A cache for `decode`: so many tokens of each of `batch` rows.
   * @param capacity - at most `maxLength`
   * @throws TypeError, RangeError, OutOfMemoryError
   */
  cache(capacity: number, batch = 1): KvCache {
    const where = 'CausalLM.cache';
    checkInteger(`${where}: capacity`, capacity, 1, this.maxLength);
    checkInteger(`${where}: batch`, batch, 1, 65536);
    return new KvCache(this, capacity, batch);
  }

  /**
   * Reads on: the ids that follow what the cache holds, which they are added to. Nothing is recorded.
   * @param ids - int32 [B, T], B the cache's batch
   * @returns logits of the last token, [B, vocab]
   * @throws TypeError, RangeError, OutOfMemoryError; Error after dispose. The cache is as before then
   */
  decode(ids: Tensor, cache: KvCache): Tensor {
    const where = 'CausalLM.decode';
    if (!(cache instanceof KvCache) || cache.owner !== this)
      throw new TypeError(
        `${where}: cache is ${cache instanceof KvCache ? "another model's" : describe(cache)}, expected what cache() of this model gives`,
      );
    if (cache.disposed) throw new Error(`${where}: the cache was used after dispose()`);
    const [B, T] = this.#checkIds(where, ids, cache.capacity);
    if (B !== cache.batch)
      throw new RangeError(`${where}: ids is ${showShape(ids.shape)}, expected [${cache.batch}, T]`);
    if (cache.length + T > cache.capacity)
      throw new RangeError(
        `${where}: the cache holds ${cache.length} of ${cache.capacity} tokens, expected room for ${T}`,
      );
    const rt = this.runtime;
    const run = (): Tensor => {
      const positions = rt.tensor(Int32Array.from({ length: T }, (_, t) => cache.length + t));
      const all = this.model.forward(ids, { table: this.#table, positions, cache });
      return this.lm_head.forward(lastRows(all));
    };
    const logits = rt.scope(() => rt.noGrad(run));
    cache.advance(T);
    return logits;
  }

  /** @param most - tokens of a row @throws TypeError, RangeError; Error after dispose */
  #checkIds(where: string, ids: Tensor, most: number): readonly [B: number, T: number] {
    if (this.#table.cos.disposed) throw new Error(`${where}: the model was used after dispose()`);
    checkTensor(where, 'ids', ids, { dtype: 'i32', runtime: this.runtime });
    const [B = 0, T = 0] = ids.shape;
    if (ids.shape.length !== 2 || ids.size === 0)
      throw new RangeError(
        `${where}: ids is ${showShape(ids.shape)}, expected [batch, tokens] of one at least`,
      );
    if (T > most)
      throw new RangeError(`${where}: ids is ${showShape(ids.shape)}, expected at most ${most} tokens a row`);
    indicesOf(`${where}: ids`, this.runtime, ids, [ids.size], this.#config.vocabSize);
    return [B, T];
  }

  /** Gives the memory of parameters and tables back. */
  override dispose(): void {
    super.dispose();
    this.#table.dispose();
  }
}

/** [B, T, N] to [B, N]: the last token of each row. */
function lastRows(x: Tensor): Tensor {
  const [B, T, N] = x.shape as [number, number, number];
  const y = x.runtime.empty([B, N], 'f32');
  const f32 = x.runtime.engine.f32();
  for (let b = 0; b < B; b++) {
    const start = x.pointer / 4 + N * (b * T + T - 1);
    f32.copyWithin(y.pointer / 4 + N * b, start, start + N);
  }
  return y;
}
