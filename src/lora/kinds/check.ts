/** What is asked of a description's options, and of a layer before it is wrapped. */
import type { Module } from '../../nn/module.js';
import { Parameter } from '../../tensor/parameter.js';
import { checkOptions, describe } from '../../values/checks.js';
import { showShape } from '../../values/shape.js';
import { AdapterError } from '../errors.js';
import type { BaseLayer, LayerAdaptation } from './adaptation.js';

/** @param types - what each further option may be @throws TypeError */
export function checkAdaptationOptions(
  where: string,
  options: object,
  types: Readonly<Record<string, readonly string[]>>,
): void {
  const all = { forward: ['function'], ...types };
  checkOptions(where, options, Object.keys(all));
  for (const [name, allowed] of Object.entries(all)) {
    const value: unknown = Reflect.get(options, name);
    if (value !== undefined && !allowed.includes(typeof value))
      throw new TypeError(`${where}: ${name} is ${describe(value)}, expected a ${allowed.join(' or a ')}`);
  }
}

/** Dimensions of a weight. */
const DIMENSIONS = { linear: 2, embedding: 2, conv2d: 4 } as const;

/** @throws AdapterError for a layer whose weight or bias is none that its kind has; Error after dispose */
export function checkParameters(
  where: string,
  layer: Module,
  adaptation: LayerAdaptation,
): asserts layer is BaseLayer {
  const { kind } = adaptation;
  const name = layer.constructor.name;
  const dimensions = DIMENSIONS[kind];
  if (!hasWeight(layer) || layer.weight.shape.length !== dimensions) {
    const got = hasWeight(layer) ? showShape(layer.weight.shape) : describe(Reflect.get(layer, 'weight'));
    throw new AdapterError(
      `${where}: weight of ${name} is ${got}, expected a parameter of ${dimensions} dimensions, as ${kind} layers have`,
    );
  }
  const { weight } = layer;
  if (weight.runtime.engine.disposed) throw new Error(`${where}: the runtime was used after dispose()`);
  if (weight.disposed) throw new Error(`${where}: base was used after dispose()`);
  const bias: unknown = layer.bias ?? null;
  if (bias === null) return;
  const outputs = adaptation.outputs(layer);
  if (!(bias instanceof Parameter) || bias.shape.length !== 1 || bias.size !== outputs) {
    const got = bias instanceof Parameter ? showShape(bias.shape) : describe(bias);
    throw new AdapterError(`${where}: bias of ${name} is ${got}, expected [${outputs}] or none`);
  }
}

function hasWeight(layer: Module): layer is BaseLayer {
  return Reflect.get(layer, 'weight') instanceof Parameter;
}
