/**
 * How a module is adapted, found from its class: the nearest class, its own first, that says it by a static `loraLayer`, or
 * that is Linear, Embedding or Conv2d. These stand in a room below this one and cannot name what is here.
 */
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

/**
 * What the class of a layer may say, to be adapted with a forward of its own: the LoRA layer that stands in the place of one.
 * A class under it that has yet another forward says it anew.
 * @typeParam L - the class's instances
 * @example
 * class Scaled extends Linear {
 *   static loraLayer(layer: Scaled) { return new LoraScaled(layer); }
 *   override forward(x: Tensor) { return scale(super.forward(x), 2); }
 * }
 * class LoraScaled extends LoraLinear {
 *   override forward(x: Tensor) { return scale(super.forward(x), 2); }
 * }
 */
export interface LoraAdaptable<L extends Module = never> {
  /** A new LoRA layer over `layer`, without an adapter. */
  loraLayer(layer: L): LoraLayer;
}

/** Whether a module can be wrapped, or is wrapped already. */
export function isAdaptable(module: Module): boolean {
  return module instanceof LoraLayer || adaptationOf(module) !== null;
}

/** Whether `'all-linear'` means a module. */
export function isLinear(module: Module): boolean {
  return module instanceof Linear || module instanceof LoraLinear;
}

/** A LoRA layer around a module that `isAdaptable`. @throws AdapterError for one with a forward of its own that does not say how */
export function wrap(where: string, module: Module): LoraLayer {
  if (module instanceof LoraLayer) return module;
  const { kind, make } = adaptationOf(module)!;
  checkForward(where, module, kind);
  const layer = make();
  if (!(layer instanceof LoraLayer) || layer.base !== module || layer.adapters.length > 0)
    throw new AdapterError(
      `${where}: loraLayer() of ${module.constructor.name} gives ${describe(layer)}, expected a new LoRA layer over it without an adapter`,
    );
  return layer;
}

interface Adaptation {
  /** The class that says it: its forward is the one that the LoRA layer computes. */
  readonly kind: LayerClass;
  make(): unknown;
}

/** Null where no class of the module's says how. */
function adaptationOf(module: Module): Adaptation | null {
  for (
    let kind: unknown = module.constructor;
    typeof kind === 'function';
    kind = Object.getPrototypeOf(kind)
  ) {
    const { name, prototype } = kind;
    const said: unknown = Object.getOwnPropertyDescriptor(kind, 'loraLayer')?.value;
    if (typeof said === 'function')
      return { kind: { name, prototype }, make: (): unknown => said.call(kind, module) };
    if (kind === Linear && module instanceof Linear) return { kind, make: () => new LoraLinear(module) };
    if (kind === Embedding && module instanceof Embedding)
      return { kind, make: () => new LoraEmbedding(module) };
    if (kind === Conv2d && module instanceof Conv2d) return { kind, make: () => new LoraConv2d(module) };
  }
  return null;
}
