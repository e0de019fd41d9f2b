/**
 * LoraLinear: a Linear with any number of low-rank adapters beside it. It has Linear's public face and its names, so it
 * can stand in its place; adapters are made by `LoraLinear.from` (one, 'default') or by LoraModel.
 */

import { Linear } from '../../nn/linear.js';
import { linearAs } from '../../ops/linear.js';
import { doraLinear } from '../../ops/lora-dora.js';
import { loraLinear } from '../../ops/lora-linear.js';
import type { Dora, LoraTerm, OutputRange } from '../../ops/lora-terms.js';
import type { Parameter } from '../../tensor/parameter.js';
import type { Tensor } from '../../tensor/tensor.js';
import {
  type FusedSlices,
  type LoraLinearOptions,
  type ResolvedLayerOptions,
  resolveLayerOptions,
} from '../config/layer-options.js';
import { AdapterError } from '../errors.js';
import type { FactorShapes } from '../maths/factors.js';
import type { MatrixLayout } from '../maths/matrix-delta.js';
import { checkBase, checkForward } from './base-layer.js';
import { MatrixLoraLayer } from './matrix-layer.js';
import { wrapAlone } from './wrap-alone.js';

/** A frozen `Linear` with adapters: `y = x · Wᵀ + bias + scaling · x · Aᵀ · Bᵀ`, in one pass. */
export class LoraLinear extends MatrixLoraLayer<Linear> {
  readonly kind = 'linear';
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** Whether the weight is stored [in, out]. */
  readonly fanInFanOut: boolean;

  /**
   * The layer without an adapter, for the static `loraLayer` of a Linear with a forward of its own; else use `LoraLinear.from` or
   * `LoraModel.attach`.
   * @throws AdapterError for a base with a forward of its own, unless a subclass is made
   */
  constructor(base: Linear) {
    super(checkBase('LoraLinear', base, Linear));
    if (new.target === LoraLinear) checkForward('LoraLinear: base', base, Linear);
    this.inFeatures = base.inFeatures;
    this.outFeatures = base.outFeatures;
    this.fanInFanOut = base.fanInFanOut;
  }

  /**
   * Wraps a Linear with one adapter named 'default' and freezes the base.
   * @throws TypeError, RangeError, AdapterError
   * @example
   * const layer = LoraLinear.from(new Linear(rt, 784, 1000), { r: 4, loraAlpha: 8 });
   */
  static from(base: Linear, options: LoraLinearOptions = {}): LoraLinear {
    checkBase('LoraLinear.from', base, Linear);
    return wrapAlone(
      'LoraLinear.from',
      base.runtime,
      () => new LoraLinear(base),
      resolveLayerOptions('LoraLinear.from', options),
    );
  }

  /** @internal */
  get outputs(): number {
    return this.outFeatures;
  }

  /** @internal */
  shapesFor(where: string, { r, useDora, loraBias, slices }: ResolvedLayerOptions): FactorShapes {
    const { inFeatures: K, outFeatures: N } = this;
    const bias = loraBias ? [N] : null;
    const magnitude = useDora ? [N] : null;
    if (slices === null) return { A: [r, K], B: [N, r], bias, magnitude };
    if (useDora || loraBias)
      throw new AdapterError(
        `${where}: fused slices with ${useDora ? 'useDora' : 'loraBias'}, expected a plain LoRA`,
      );
    const ranges = rangesOf(where, slices, N);
    return {
      A: [r * ranges.length, K],
      B: [ranges.reduce((n, { size }) => n + size, 0), r],
      bias,
      magnitude,
    };
  }

  /** @internal */
  override rangesFor(where: string, { slices }: ResolvedLayerOptions): OutputRange[] | null {
    return slices === null ? null : rangesOf(where, slices, this.outFeatures);
  }

  /** @internal */
  computeBase(x: Tensor, weight: Parameter, planRows?: number): Tensor {
    return linearAs('LoraLinear.forward', x, weight, this.bias, this.#layout(planRows));
  }

  /** @internal */
  computeAdapted(
    x: Tensor,
    weight: Parameter,
    terms: readonly LoraTerm[],
    dora: Dora | null,
    planRows?: number,
  ): Tensor {
    const layout = this.#layout(planRows);
    const where = 'LoraLinear.forward';
    const base = { weight, bias: this.bias };
    if (dora === null) return loraLinear(where, x, base, terms, layout);
    return doraLinear(where, x, base, terms[0]!, dora, layout);
  }

  /** @internal */
  protected get matrix(): MatrixLayout {
    return { rt: this.runtime, N: this.outFeatures, K: this.inFeatures, turned: this.fanInFanOut };
  }

  #layout(planRows: number | undefined) {
    const { fanInFanOut } = this;
    return planRows === undefined ? { fanInFanOut } : { fanInFanOut, planRows };
  }
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
