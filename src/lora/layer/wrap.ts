/** The modules of a model as adapters see them: which can be adapted, and the LoRA layer around one. */
import type { Module } from '../../nn/module.js';
import { AdapterError } from '../errors.js';
import type { LayerKind } from '../kinds/adaptation.js';
import { adaptableOf, kindOfPlain } from '../kinds/of-class.js';
import { LoraLayer } from './lora-layer.js';

/** The kind of a layer that can be wrapped, or is wrapped already; null for any other module. */
export function kindOf(module: Module): LayerKind | null {
  return module instanceof LoraLayer ? module.kind : kindOfPlain(module);
}

/** A LoRA layer around a module that has a kind. @throws AdapterError for one whose class does not say how its forward is adapted */
export function wrap(where: string, module: Module): LoraLayer {
  if (module instanceof LoraLayer) return module;
  const found = adaptableOf(where, module);
  if (found === null)
    throw new AdapterError(`${where} is a ${module.constructor.name}, expected a layer that can be adapted`);
  return new LoraLayer(found.base, found.adaptation);
}
