/** What adapters go on. */
import type { Module } from '../nn/module.js';
import type { Parameter } from '../tensor/parameter.js';
import type { Runtime } from '../tensor/runtime.js';
import { AdapterError } from './errors.js';

/** The kinds of layers that take adapters. */
export type LayerKind = 'linear' | 'embedding' | 'conv2d';

/** A layer that can be wrapped. */
export interface BaseLayer extends Module {
  readonly weight: Parameter;
  readonly bias?: Parameter | null;
  readonly runtime: Runtime;
}

/** A class of layers whose plain maths a LoRA layer computes itself. */
export interface LayerClass {
  readonly name: string;
  readonly prototype: Module;
}

/** @throws AdapterError for a layer whose forward is not the one that a LoRA layer would compute in its place */
export function checkForward(where: string, layer: Module, { name, prototype }: LayerClass): void {
  if (layer.forward === prototype.forward) return;
  const own = layer.constructor.name;
  throw new AdapterError(
    `${where} is a ${name}${own === name ? '' : ` (${own})`} with a forward of its own, which a Lora${name} would not compute; expected one without, or a method loraLayer() that gives a LoRA layer which does`,
  );
}
