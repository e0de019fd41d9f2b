/** The kinds of layers that can be wrapped, by the class of the layer. */
import { Conv2d } from '../../nn/conv2d.js';
import { Embedding } from '../../nn/embedding.js';
import { Linear } from '../../nn/linear.js';
import type { Module } from '../../nn/module.js';
import { describe } from '../../values/checks.js';
import { AdapterError } from '../errors.js';
import { checkForward, type LayerClass } from './base-layer.js';
import { LoraConv2d } from './lora-conv2d.js';
import { LoraEmbedding } from './lora-embedding.js';
import { LoraLayer } from './lora-layer.js';
import { LoraLinear } from './lora-linear.js';

/** Whether a module can be wrapped, or is wrapped already. */
export function isAdaptable(module: Module): boolean {
  return module instanceof LoraLayer || kindOf(module) !== null;
}

/** Whether `'all-linear'` means a module. */
export function isLinear(module: Module): boolean {
  return module instanceof Linear || module instanceof LoraLinear;
}

/**
 * What a subclass of Linear, Embedding or Conv2d with a forward of its own may have, to be adapted: the LoRA layer that
 * stands in its place.
 * @example
 * class Scaled extends Linear {
 *   override forward(x: Tensor) { return scale(super.forward(x), 2); }
 *   loraLayer() { return new LoraScaled(this); }
 * }
 * class LoraScaled extends LoraLinear {
 *   override forward(x: Tensor) { return scale(super.forward(x), 2); }
 * }
 */
export interface LoraAdaptable extends Module {
  /** A new LoRA layer over this one, without an adapter. */
  loraLayer(): LoraLinear | LoraEmbedding | LoraConv2d;
}

/** A LoRA layer around a module that `isAdaptable`. @throws AdapterError for one with a forward of its own that does not say how */
export function wrap(where: string, module: Module): LoraLayer {
  if (module instanceof LoraLayer) return module;
  if ('loraLayer' in module && typeof module.loraLayer === 'function') {
    const layer: unknown = module.loraLayer();
    if (!(layer instanceof LoraLayer) || layer.base !== module || layer.adapters.length > 0)
      throw new AdapterError(
        `${where}: loraLayer() of ${module.constructor.name} gives ${describe(layer)}, expected a new LoRA layer over it without an adapter`,
      );
    return layer;
  }
  const Kind = kindOf(module);
  if (Kind !== null) checkForward(where, module, Kind);
  if (module instanceof Linear) return new LoraLinear(module);
  if (module instanceof Embedding) return new LoraEmbedding(module);
  return new LoraConv2d(module as Conv2d);
}

function kindOf(module: Module): LayerClass | null {
  return [Linear, Embedding, Conv2d].find((Kind) => module instanceof Kind) ?? null;
}
