/** Embedding: a table of vectors looked up by number, with PyTorch's shapes and initialisation. */

import { checkPadding, embeddingAs } from '../ops/embedding.js';
import { checkRuntime } from '../tensor/check-runtime.js';
import type { Parameter } from '../tensor/parameter.js';
import { fillNormal } from '../tensor/random.js';
import type { Runtime } from '../tensor/runtime.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkInteger, checkOptions } from '../values/checks.js';
import { rowBytes, type WeightDType } from '../values/dtypes.js';
import { checkWeightOptions, drawInto, makeParameters } from './layer-parameters.js';
import { Module } from './module.js';

/** What an `Embedding` takes beside its sizes. */
export interface EmbeddingOptions {
  /** A row that starts as zeros and gets no gradient; negative ones count from the end. Default null: none. */
  readonly paddingIdx?: number | null;
  /** A parameter to share, [numEmbeddings, embeddingDim], taken as it is. Default: a new one. */
  readonly weight?: Parameter;
  /**
   * Type of a new weight's elements. Default `'f32'`. Any other is frozen: it takes less memory, computes with the bits of its
   * values in float32, and adapters train beside it. A quantised one (`'q8_0'`, `'q4_K'` ...) starts as zeros, which
   * `weight.writeBytes` fills with the blocks of a GGUF file; its rows are whole blocks.
   */
  readonly dtype?: WeightDType;
}

/** A table of vectors: whole numbers of any shape to `[...shape, embeddingDim]`. */
export class Embedding extends Module {
  readonly numEmbeddings: number;
  readonly embeddingDim: number;
  /** The row without gradient, counted from 0, or null. */
  readonly paddingIdx: number | null;
  /** [numEmbeddings, embeddingDim] */
  readonly weight: Parameter;
  /** @internal */ readonly runtime: Runtime;

  /**
   * A new weight is drawn from N(0, 1), as PyTorch's; its padding row is zero.
   * @param runtime - where the parameter lives
   * @param numEmbeddings - rows of the table
   * @param embeddingDim - size of the last dimension of y
   * @throws TypeError, RangeError, OutOfMemoryError
   */
  constructor(runtime: Runtime, numEmbeddings: number, embeddingDim: number, options: EmbeddingOptions = {}) {
    super();
    checkRuntime('Embedding', runtime);
    checkOptions('Embedding', options, ['paddingIdx', 'weight', 'dtype']);
    this.numEmbeddings = checkInteger('Embedding: numEmbeddings', numEmbeddings, 1, 2 ** 31 - 1);
    this.embeddingDim = checkInteger('Embedding: embeddingDim', embeddingDim, 1, 2 ** 31 - 1);
    const padding = checkPadding('Embedding', options.paddingIdx ?? null, numEmbeddings);
    this.paddingIdx = padding === -1 ? null : padding;
    this.runtime = runtime;
    const plan = checkWeightOptions('Embedding', runtime, options, [numEmbeddings, embeddingDim]);
    if (plan.shared !== null) {
      this.weight = plan.shared;
      this.weight.holders++;
      return;
    }
    this.weight = makeParameters(runtime, [plan])[0]!;
    try {
      drawInto(runtime, this.weight, (to, place) => fillNormal(to, place, 1));
    } catch (error) {
      this.weight.block.dispose();
      throw error;
    }
    const row = rowBytes(embeddingDim, plan.dtype);
    if (padding !== -1) this.weight.writeBytes(new Uint8Array(row), padding * row);
  }

  /** @param ids - any shape, int32 @returns [..., embeddingDim] @throws TypeError, RangeError */
  override forward(ids: Tensor): Tensor {
    return embeddingAs('Embedding.forward', ids, this.weight, { paddingIdx: this.paddingIdx });
  }
}
