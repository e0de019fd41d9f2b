/** The kinds of layers that can be wrapped, by the class of the layer. */
import { Conv2d } from '../nn/conv2d.js';
import { Embedding } from '../nn/embedding.js';
import { Linear } from '../nn/linear.js';
import type { Module } from '../nn/module.js';
import type { BaseLayer } from './base-layer.js';
import { LoraLayer } from './layer.js';
import { LoraConv2d } from './lora-conv2d.js';
import { LoraEmbedding } from './lora-embedding.js';
import { LoraLinear } from './lora-linear.js';

/** Whether a module can be wrapped, or is wrapped already. */
export function isAdaptable(module: Module): boolean {
  return module instanceof LoraLayer || baseClass(module) !== null;
}

/** Whether `'all-linear'` means a module. */
export function isLinear(module: Module): boolean {
  return module instanceof Linear || module instanceof LoraLinear;
}

/** A LoRA layer around a module that `isAdaptable`. */
export function wrap(module: Module): LoraLayer {
  if (module instanceof LoraLayer) return module;
  if (module instanceof Linear) return new LoraLinear(module);
  if (module instanceof Embedding) return new LoraEmbedding(module);
  return new LoraConv2d(module as Conv2d);
}

function baseClass(module: Module): BaseLayer | null {
  return module instanceof Linear || module instanceof Embedding || module instanceof Conv2d ? module : null;
}
