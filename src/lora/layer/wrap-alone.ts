/** One layer wrapped without a model, with one adapter named 'default'. */
import { ParameterBlock } from '../../tensor/parameter.js';
import type { Runtime } from '../../tensor/runtime.js';
import type { ResolvedLayerOptions } from '../config/layer-options.js';
import type { FactorShapes } from '../maths/factors.js';
import { initialise } from '../maths/initialise.js';
import type { LoraLayer } from './lora-layer.js';

/** @param make - makes the layer, which takes a place in the generator's counter @throws AdapterError, OutOfMemoryError; nothing has changed then */
export function wrapAlone<L extends LoraLayer>(
  where: string,
  runtime: Runtime,
  make: () => L,
  options: ResolvedLayerOptions,
): L {
  return runtime.construct(() => withAdapter(where, make(), options));
}

function withAdapter<L extends LoraLayer>(where: string, layer: L, options: ResolvedLayerOptions): L {
  const shapes = layer.shapesFor(where, options);
  const ranges = layer.rangesFor(where, options);
  const block = new ParameterBlock(layer.runtime, shapeList(shapes));
  const rest = block.parameters.slice(2);
  layer.addFactors('default', {
    A: block.parameters[0]!,
    B: block.parameters[1]!,
    bias: shapes.bias === null ? null : rest.shift()!,
    magnitude: shapes.magnitude === null ? null : rest.shift()!,
    options,
    ranges,
  });
  try {
    layer.runtime.scope(() => initialise(where, layer, 'default', layer.base.weight));
  } catch (error) {
    layer.removeFactors('default');
    block.dispose();
    throw error;
  }
  layer.setActive(['default']);
  layer.tied = layer.base.weight.holders > 1;
  for (const parameter of layer.base.parameters()) parameter.requiresGrad = false;
  return layer;
}

/** The shapes that there are, A and B first. */
function shapeList({ A, B, bias, magnitude }: FactorShapes): (readonly number[])[] {
  return [A, B, ...(bias === null ? [] : [bias]), ...(magnitude === null ? [] : [magnitude])];
}
