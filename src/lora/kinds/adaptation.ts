/**
 * How a class of layers is adapted: a description without state. It says what an adapter's parameters look like beside such a
 * layer, what the layer computes with them, and what merging adds to its weight. `LoraLayer` owns whatever changes. The three
 * descriptions are `linear.ts`, `embedding.ts` and `conv2d.ts`; a class has one as a static `adaptation`.
 */
import type { Module } from '../../nn/module.js';
import type { Dora, LoraTerm, OutputRange } from '../../ops/lora-terms.js';
import type { Parameter } from '../../tensor/parameter.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { Shape } from '../../values/shape.js';
import type { ResolvedLayerOptions } from '../config/layer-options.js';
import type { FactorShapes, LoraFactors } from '../maths/factors.js';

/** The kinds of layers that take adapters: what PEFT's files call the factors, and which of its rules hold. */
export type LayerKind = 'linear' | 'embedding' | 'conv2d';

/** A layer that can be wrapped: it holds the weight that adapters go on, and may hold a bias. */
export interface BaseLayer extends Module {
  readonly weight: Parameter;
  readonly bias?: Parameter | null;
}

/** @internal What a product is computed with. */
export interface ProductParts {
  /** The weight in the place of the layer's own. */
  readonly weight: Parameter;
  /** The adapters that take part; none for the base alone. */
  readonly terms: readonly LoraTerm[];
  /** With it there is one term. */
  readonly dora: Dora | null;
  /** Rows of the whole batch, where these are some of them. */
  readonly planRows: number | undefined;
}

/**
 * How a class of layers is adapted: what `linearAdaptation`, `embeddingAdaptation` and `conv2dAdaptation` give, to stand in a
 * class as its static `adaptation`.
 * @typeParam L - the class's instances
 */
export interface LayerAdaptation<L extends BaseLayer = BaseLayer> {
  readonly kind: LayerKind;
  /** @internal What errors call the LoRA layer, as `LoraLinear`. */
  readonly title: string;
  /** @internal What the class computes around its product; null where that is all. */
  readonly around: AroundProduct<L> | null;
  /** @internal Number of outputs: the length of magnitudes and biases. */
  outputs(layer: L): number;
  /** @internal Whether the weight is stored [in, out]. */
  fanInFanOut(layer: L): boolean;
  /** @internal Shapes of an adapter's parameters. @throws AdapterError when the layer cannot hold such an adapter */
  shapes(where: string, layer: L, options: ResolvedLayerOptions): FactorShapes;
  /** @internal The outputs that an adapter of fused projections adapts; null for all. @throws AdapterError */
  ranges(where: string, layer: L, options: ResolvedLayerOptions): OutputRange[] | null;
  /** @internal The layer's product with adapters, bias included. */
  product(layer: L, x: Tensor, parts: ProductParts): Tensor;
  /** @internal Rows of x as the products see them. */
  planRows(x: Tensor): number;
  /** @internal out = w + strength·delta in the shape of a delta; w may be 0 (the delta alone) or out. Both by address. */
  addDelta(layer: L, factors: LoraFactors, w: number, out: number): void;
  /** @internal ‖w + strength·delta‖ of every output, to `out` [outputs]. */
  norms(layer: L, factors: LoraFactors, w: Tensor, out: number): void;
  /** @internal weight = g ⊙ weight, g [outputs], of a weight in the shape of a delta. */
  scaleOutputs(layer: L, g: number, weight: number): void;
  /** @internal Shape of a delta: the weight's, but for a convolution with groups, whose delta sees every channel. */
  deltaShape(layer: L): Shape;
  /** @internal A float32 weight in the shape of a delta, where that is not its own; both by address. */
  expandWeight(layer: L, weight: number, to: number): void;
  /**
   * @internal How the layer is given back over another weight.
   * @param tied - whether others hold its own weight
   * @throws AdapterError when it cannot be; what is returned takes no memory
   */
  withWeight(layer: L, weight: Parameter, tied: boolean): () => BaseLayer;
}

/** @internal A class's forward over its product, for inputs of any kind. */
export interface AroundProduct<L extends BaseLayer> {
  call(layer: L, product: (x: Tensor) => Tensor, inputs: readonly unknown[]): Tensor;
}

/** What every description takes. */
export interface AdaptationOptions<L extends BaseLayer> {
  /**
   * What the class's `forward` computes, over `product` in the place of its own product with its weight and bias: the same
   * formula. `layer` is the plain layer. Default: the product alone.
   */
  forward?(layer: L, product: (x: Tensor) => Tensor, ...inputs: Parameters<L['forward']>): Tensor;
}

/** The layer itself with another weight in the place of its own. */
export function withOwnWeight<L extends BaseLayer>(layer: L, weight: Parameter): () => L {
  return () => {
    for (const slot of layer.parameterSlots()) if (slot.name === 'weight') slot.set(weight);
    return layer;
  };
}

/** What a description is told of the forward. */
export function aroundOf<L extends BaseLayer>({ forward }: AdaptationOptions<L>): AroundProduct<L> | null {
  if (forward === undefined) return null;
  return {
    call: (layer, product, inputs) => forward(layer, product, ...(inputs as Parameters<L['forward']>)),
  };
}
