/**
 * How layers over a table of rows are adapted, as Embedding is: weight[ids] + scaling·A[:, ids]ᵀ·Bᵀ. As in PEFT there is no
 * dropout: ids cannot be dropped.
 */
import { embeddingAs } from '../../ops/embedding.js';
import { loraEmbedding } from '../../ops/lora-embedding.js';
import { AdapterError } from '../errors.js';
import { type AdaptationOptions, aroundOf, type BaseLayer, type LayerAdaptation } from './adaptation.js';
import { checkAdaptationOptions } from './check.js';
import { overMatrix } from './matrix.js';

/** A layer over a table of rows. */
export interface LookupLayer extends BaseLayer {
  /** The row that gets no gradient. Default null: none. */
  readonly paddingIdx?: number | null;
}

/**
 * How a class is adapted whose layers look rows up: `weight` is [rows, dim].
 * @typeParam L - the class's instances
 * @throws TypeError
 * @example
 * class Scaled extends Embedding {
 *   static readonly adaptation = embeddingAdaptation<Scaled>({
 *     forward: (_layer, lookup, ids) => scale(lookup(ids), 8),
 *   });
 *   override forward(ids: Tensor) { return scale(super.forward(ids), 8); }
 * }
 */
export function embeddingAdaptation<L extends LookupLayer>(
  options: AdaptationOptions<L> = {},
): LayerAdaptation<L> {
  checkAdaptationOptions('embeddingAdaptation', options, {});
  const rows = ({ weight }: L): number => weight.shape[0]!;
  const outputs = ({ weight }: L): number => weight.shape[1]!;
  const forward = 'LoraEmbedding.forward';
  return {
    ...{ kind: 'embedding', title: 'LoraEmbedding', around: aroundOf(options) },
    outputs,
    fanInFanOut: () => false,
    shapes(where, layer, { r, useDora, loraBias, slices }) {
      if (loraBias)
        throw new AdapterError(`${where}: loraBias on an Embedding, expected a Linear or Conv2d, as in PEFT`);
      if (slices !== null)
        throw new AdapterError(`${where}: fused slices on an Embedding, expected a Linear`);
      const N = outputs(layer);
      return { A: [r, rows(layer)], B: [N, r], bias: null, magnitude: useDora ? [N] : null };
    },
    ranges: () => null,
    product({ paddingIdx = null }, ids, { weight, terms, dora, planRows }) {
      if (terms.length === 0) return embeddingAs(forward, ids, weight, { paddingIdx });
      return loraEmbedding(forward, ids, { weight, paddingIdx, planRows }, terms, dora);
    },
    planRows: (ids) => ids.size,
    ...overMatrix((layer: L) => ({
      ...{ rt: layer.weight.runtime, N: outputs(layer), K: rows(layer), turned: true },
    })),
  };
}
