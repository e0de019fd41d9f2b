/**
 * How layers over a product with a matrix are adapted, as Linear is: y = x·Wᵀ + bias + scaling·x·Aᵀ·Bᵀ in one pass, whatever
 * their class computes around it.
 */
import { linearAs } from '../../ops/linear.js';
import { doraLinear } from '../../ops/lora-dora.js';
import { loraLinear } from '../../ops/lora-linear.js';
import type { OutputRange } from '../../ops/lora-terms.js';
import type { FusedSlices } from '../config/layer-options.js';
import { AdapterError } from '../errors.js';
import { type AdaptationOptions, aroundOf, type BaseLayer, type LayerAdaptation } from './adaptation.js';
import { checkAdaptationOptions } from './check.js';
import { overMatrix } from './matrix.js';

/** What `linearAdaptation` takes. */
export interface LinearAdaptationOptions<L extends BaseLayer> extends AdaptationOptions<L> {
  /** Whether the weight is stored [in, out], as GPT-2's Conv1D stores it; a function asks each layer. Default false. */
  readonly fanInFanOut?: boolean | ((layer: L) => boolean);
}

/**
 * How a class is adapted whose layers multiply by a matrix: `weight` is [out, in] (or [in, out]) and `bias`, where there is
 * one, [out]. Merging, DoRA, dropout, fused projections, every initialisation and files work as for `Linear`.
 * @typeParam L - the class's instances
 * @throws TypeError
 * @example
 * class Conv1D extends Module {
 *   static readonly adaptation = linearAdaptation<Conv1D>({ fanInFanOut: true });
 *   readonly weight: Parameter; // [in, out]
 *   readonly bias: Parameter; // [out]
 *   override forward(x: Tensor) { return linear(x, this.weight, this.bias, { fanInFanOut: true }); }
 * }
 * @example
 * class Doubled extends Linear {
 *   static readonly adaptation = linearAdaptation<Doubled>({
 *     fanInFanOut: (layer) => layer.fanInFanOut,
 *     forward: (_layer, product, x) => scale(product(x), 2),
 *   });
 *   override forward(x: Tensor) { return scale(super.forward(x), 2); }
 * }
 */
export function linearAdaptation<L extends BaseLayer>(
  options: LinearAdaptationOptions<L> = {},
): LayerAdaptation<L> {
  checkAdaptationOptions('linearAdaptation', options, { fanInFanOut: ['boolean', 'function'] });
  const { fanInFanOut: turned = false } = options;
  const fanInFanOut = typeof turned === 'function' ? turned : () => turned;
  const outputs = (layer: L): number => layer.weight.shape[fanInFanOut(layer) ? 1 : 0]!;
  const inputs = (layer: L): number => layer.weight.shape[fanInFanOut(layer) ? 0 : 1]!;
  const forward = 'LoraLinear.forward';
  return {
    ...{ kind: 'linear', title: 'LoraLinear', around: aroundOf(options) },
    ...{ outputs, fanInFanOut },
    shapes(where, layer, { r, useDora, loraBias, slices }) {
      const [K, N] = [inputs(layer), outputs(layer)];
      const bias = loraBias ? [N] : null;
      const magnitude = useDora ? [N] : null;
      if (slices === null) return { A: [r, K], B: [N, r], bias, magnitude };
      if (useDora || loraBias)
        throw new AdapterError(
          `${where}: fused slices with ${useDora ? 'useDora' : 'loraBias'}, expected a plain LoRA`,
        );
      const ranges = rangesOf(where, slices, N);
      const rows = ranges.reduce((n, { size }) => n + size, 0);
      return { A: [r * ranges.length, K], B: [rows, r], bias, magnitude };
    },
    ranges: (where, layer, { slices }) => (slices === null ? null : rangesOf(where, slices, outputs(layer))),
    product(layer, x, { weight, terms, dora, planRows }) {
      const turnedHere = fanInFanOut(layer);
      const layout =
        planRows === undefined ? { fanInFanOut: turnedHere } : { fanInFanOut: turnedHere, planRows };
      const { bias = null } = layer;
      if (terms.length === 0) return linearAs(forward, x, weight, bias, layout);
      const base = { weight, bias };
      if (dora === null) return loraLinear(forward, x, base, terms, layout);
      return doraLinear(forward, x, base, terms[0]!, dora, layout);
    },
    planRows: (x) => x.size / (x.shape.at(-1) ?? 1),
    ...overMatrix((layer: L) => ({
      ...{ rt: layer.weight.runtime, N: outputs(layer), K: inputs(layer), turned: fanInFanOut(layer) },
    })),
  };
}

/** The adapted slices as ranges of the outputs. @throws AdapterError unless the sizes make up the layer */
function rangesOf(where: string, { sizes, adapted }: FusedSlices, N: number): OutputRange[] {
  const total = sizes.reduce((sum, size) => sum + size, 0);
  if (total !== N)
    throw new AdapterError(
      `${where}: slices of [${sizes.join(', ')}] make ${total} outputs, expected the layer's ${N}`,
    );
  let from = 0;
  const all = sizes.map((size) => {
    from += size;
    return { from: from - size, size };
  });
  return all.filter((_, i) => adapted[i]);
}
