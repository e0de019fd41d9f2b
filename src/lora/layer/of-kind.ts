/** LoraLinear, LoraEmbedding, LoraConv2d: LoRA layers of the three kinds by name, to make one and to ask for one. */
import { Conv2d } from '../../nn/conv2d.js';
import { Embedding } from '../../nn/embedding.js';
import { Linear } from '../../nn/linear.js';
import { describe } from '../../values/checks.js';
import type { LoraLayerOptions, LoraLinearOptions } from '../config/layer-options.js';
import type { BaseLayer, LayerKind } from '../kinds/adaptation.js';
import { LoraLayer, wrapAlone } from './lora-layer.js';

/** A frozen `Linear` with adapters: `y = x · Wᵀ + bias + scaling · x · Aᵀ · Bᵀ`, in one pass. */
export type LoraLinear = LoraLayer<Linear> & Pick<Linear, 'inFeatures' | 'outFeatures' | 'fanInFanOut'>;

/** A frozen `Embedding` with adapters: `weight[ids] + scaling · A[:, ids]ᵀ · Bᵀ`. */
export type LoraEmbedding = LoraLayer<Embedding> &
  Pick<Embedding, 'numEmbeddings' | 'embeddingDim' | 'paddingIdx'>;

/** A frozen `Conv2d` with adapters: a convolution by A to r channels, then B of size 1x1, scaled, beside the base. */
export type LoraConv2d = LoraLayer<Conv2d> &
  Pick<Conv2d, 'inChannels' | 'outChannels' | 'kernelSize' | 'stride' | 'padding' | 'dilation' | 'groups'>;

/** One kind of LoRA layers: makes them, and stands on the right of `instanceof`. */
export interface LoraLayersOf<Base extends BaseLayer, Adapted extends LoraLayer<Base>, Options> {
  /** Wraps a layer with one adapter named 'default' and freezes it. @throws TypeError, RangeError, AdapterError, OutOfMemoryError */
  from(base: Base, options?: Options): Adapted;
  /** Whether a value is a LoRA layer over a layer of this class. */
  [Symbol.hasInstance](value: unknown): value is Adapted;
}

type Class<T> = abstract new (...args: never[]) => T;

function layersOf<Base extends BaseLayer, Adapted extends LoraLayer<Base>, Options extends LoraLinearOptions>(
  name: string,
  kind: LayerKind,
  Base: Class<Base>,
): LoraLayersOf<Base, Adapted, Options> {
  const isOne = (value: unknown): value is Adapted =>
    value instanceof LoraLayer && value.kind === kind && value.base instanceof Base;
  return {
    from(base, options) {
      const where = `${name}.from`;
      if (!(base instanceof Base))
        throw new TypeError(
          `${where}: base is ${describe(base)}, expected ${kind === 'embedding' ? 'an' : 'a'} ${Base.name}`,
        );
      const layer = wrapAlone(where, base, options ?? {});
      if (!isOne(layer))
        throw new TypeError(`${where}: base is adapted as a ${layer.kind} layer, expected a ${kind} one`);
      return layer;
    },
    [Symbol.hasInstance]: isOne,
  };
}

/**
 * LoRA layers over a `Linear`.
 * @example
 * const layer = LoraLinear.from(new Linear(rt, 784, 1000), { r: 4, loraAlpha: 8 });
 */
export const LoraLinear: LoraLayersOf<Linear, LoraLinear, LoraLinearOptions> = /* @__PURE__ */ layersOf(
  'LoraLinear',
  'linear',
  Linear,
);

/** LoRA layers over an `Embedding`. */
export const LoraEmbedding: LoraLayersOf<Embedding, LoraEmbedding, LoraLayerOptions> =
  /* @__PURE__ */ layersOf('LoraEmbedding', 'embedding', Embedding);

/** LoRA layers over a `Conv2d`. */
export const LoraConv2d: LoraLayersOf<Conv2d, LoraConv2d, LoraLayerOptions> = /* @__PURE__ */ layersOf(
  'LoraConv2d',
  'conv2d',
  Conv2d,
);
