/** The adapter of a layer that is wrapped without a model: one, named 'default'. */
import { ParameterBlock } from '../../tensor/parameter.js';
import type { ResolvedLayerOptions } from '../config/layer-options.js';
import type { FactorShapes } from '../maths/factors.js';
import { initialise } from './initialise.js';
import type { LayerState } from './layer-state.js';

/** Adds and activates it, and freezes the base. @throws AdapterError, OutOfMemoryError; nothing has changed then */
export function addFirst(where: string, state: LayerState, options: ResolvedLayerOptions): void {
  const { base, adaptation, runtime } = state;
  const shapes = adaptation.shapes(where, base, options);
  const ranges = adaptation.ranges(where, base, options);
  const block = new ParameterBlock(runtime, shapeList(shapes));
  const rest = block.parameters.slice(2);
  state.add('default', {
    A: block.parameters[0]!,
    B: block.parameters[1]!,
    bias: shapes.bias === null ? null : rest.shift()!,
    magnitude: shapes.magnitude === null ? null : rest.shift()!,
    options,
    ranges,
  });
  try {
    runtime.scope(() => initialise(where, state, 'default', base.weight));
  } catch (error) {
    state.remove('default');
    block.dispose();
    throw error;
  }
  state.active = ['default'];
  for (const parameter of base.parameters()) parameter.requiresGrad = false;
}

/** The shapes that there are, A and B first. */
function shapeList({ A, B, bias, magnitude }: FactorShapes): (readonly number[])[] {
  return [A, B, ...(bias === null ? [] : [bias]), ...(magnitude === null ? [] : [magnitude])];
}
