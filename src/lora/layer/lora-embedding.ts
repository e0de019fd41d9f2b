/** LoraEmbedding: an Embedding with low-rank adapters beside it. As in PEFT there is no dropout: ids cannot be dropped. */

import { Embedding } from '../../nn/embedding.js';
import { embeddingAs } from '../../ops/embedding.js';
import { loraEmbedding } from '../../ops/lora-embedding.js';
import type { Dora, LoraTerm } from '../../ops/lora-terms.js';
import type { Parameter } from '../../tensor/parameter.js';
import type { Tensor } from '../../tensor/tensor.js';
import {
  type LoraLayerOptions,
  type ResolvedLayerOptions,
  resolveLayerOptions,
} from '../config/layer-options.js';
import { AdapterError } from '../errors.js';
import type { FactorShapes } from '../maths/factors.js';
import type { MatrixLayout } from '../maths/matrix-delta.js';
import { checkBase, checkForward } from './base-layer.js';
import { MatrixLoraLayer } from './matrix-layer.js';
import { wrapAlone } from './wrap-alone.js';

/** A frozen `Embedding` with adapters: `weight[ids] + scaling · A[:, ids]ᵀ · Bᵀ`. */
export class LoraEmbedding extends MatrixLoraLayer<Embedding> {
  readonly kind = 'embedding';
  readonly numEmbeddings: number;
  readonly embeddingDim: number;
  readonly paddingIdx: number | null;

  /**
   * The layer without an adapter, for the static `loraLayer` of an Embedding with a forward of its own; else use `LoraEmbedding.from` or
   * `LoraModel.attach`.
   * @throws AdapterError for a base with a forward of its own, unless a subclass is made
   */
  constructor(base: Embedding) {
    super(checkBase('LoraEmbedding', base, Embedding));
    if (new.target === LoraEmbedding) checkForward('LoraEmbedding: base', base, Embedding);
    this.numEmbeddings = base.numEmbeddings;
    this.embeddingDim = base.embeddingDim;
    this.paddingIdx = base.paddingIdx;
  }

  /** Wraps an Embedding with one adapter named 'default' and freezes the base. @throws TypeError, RangeError, AdapterError */
  static from(base: Embedding, options: LoraLayerOptions = {}): LoraEmbedding {
    checkBase('LoraEmbedding.from', base, Embedding);
    const resolved = resolveLayerOptions('LoraEmbedding.from', options);
    return wrapAlone('LoraEmbedding.from', base.runtime, () => new LoraEmbedding(base), resolved);
  }

  /** @internal */
  get outputs(): number {
    return this.embeddingDim;
  }

  /** @internal */
  shapesFor(where: string, { r, useDora, loraBias, slices }: ResolvedLayerOptions): FactorShapes {
    if (loraBias)
      throw new AdapterError(`${where}: loraBias on an Embedding, expected a Linear or Conv2d, as in PEFT`);
    if (slices !== null) throw new AdapterError(`${where}: fused slices on an Embedding, expected a Linear`);
    return {
      ...{ A: [r, this.numEmbeddings], B: [this.embeddingDim, r], bias: null },
      magnitude: useDora ? [this.embeddingDim] : null,
    };
  }

  protected override factorNames(name: string): [string, string] {
    return [`lora_embedding_A.${name}`, `lora_embedding_B.${name}`];
  }

  /** @internal */
  computeBase(ids: Tensor, weight: Parameter): Tensor {
    return embeddingAs('LoraEmbedding.forward', ids, weight, { paddingIdx: this.paddingIdx });
  }

  /** @internal */
  computeAdapted(
    ids: Tensor,
    weight: Parameter,
    terms: readonly LoraTerm[],
    dora: Dora | null,
    planRows?: number,
  ): Tensor {
    const base = { weight, paddingIdx: this.paddingIdx, planRows };
    return loraEmbedding('LoraEmbedding.forward', ids, base, terms, dora);
  }

  /** @internal */
  override planRowsOf(ids: Tensor): number {
    return ids.size;
  }

  /** @internal */
  protected get matrix(): MatrixLayout {
    return { rt: this.runtime, N: this.embeddingDim, K: this.numEmbeddings, turned: true };
  }
}
