/** What adapters go on. */
import type { Module } from '../nn/module.js';
import type { Parameter } from '../tensor/parameter.js';
import type { Runtime } from '../tensor/runtime.js';

/** The kinds of layers that take adapters. */
export type LayerKind = 'linear' | 'embedding' | 'conv2d';

/** A layer that can be wrapped. */
export interface BaseLayer extends Module {
  readonly weight: Parameter;
  readonly bias?: Parameter | null;
  readonly runtime: Runtime;
}
