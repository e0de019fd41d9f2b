/** What adapters go on. */
import type { Module } from '../../nn/module.js';
import type { Parameter } from '../../tensor/parameter.js';
import type { Runtime } from '../../tensor/runtime.js';
import { describe } from '../../values/checks.js';
import { AdapterError } from '../errors.js';

/** The kinds of layers that take adapters. */
export type LayerKind = 'linear' | 'embedding' | 'conv2d';

/** A layer that can be wrapped. */
export interface BaseLayer extends Module {
  readonly weight: Parameter;
  readonly bias?: Parameter | null;
  /** @internal */ readonly runtime: Runtime;
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
  const said = ['Linear', 'Embedding', 'Conv2d'].includes(name)
    ? `a Lora${name}`
    : `the LoRA layer of ${name}`;
  throw new AdapterError(
    `${where} is a ${name}${own === name ? '' : ` (${own})`} with a forward of its own, which ${said} would not compute; expected one without, or a static loraLayer() of its class that gives a LoRA layer which does`,
  );
}

/** A layer that can be wrapped. @param kind - the class that it has to be of @throws TypeError; Error after dispose */
export function checkBase<B extends BaseLayer>(
  where: string,
  base: unknown,
  kind: abstract new (...args: never[]) => B,
): B {
  if (!(base instanceof kind))
    throw new TypeError(
      `${where}: base is ${describe(base)}, expected ${kind.name === 'Embedding' ? 'an' : 'a'} ${kind.name}`,
    );
  if (base.runtime.engine.disposed) throw new Error(`${where}: the runtime was used after dispose()`);
  if (base.weight.disposed) throw new Error(`${where}: base was used after dispose()`);
  return base;
}
