/** A layer's own parameters, each in a block of its own: all of them are made, or none. Called by the layers' constructors. */
import { RANDOM_STREAM } from '../engine/engine.js';
import { type Parameter, ParameterBlock } from '../tensor/parameter.js';
import type { Runtime } from '../tensor/runtime.js';
import type { Shape } from '../values/shape.js';

/** New parameters, zero; null stays null. @throws OutOfMemoryError; nothing is left behind then */
export function makeParameters(runtime: Runtime, shapes: readonly (Shape | null)[]): (Parameter | null)[] {
  const blocks: ParameterBlock[] = [];
  try {
    return shapes.map((shape) => {
      if (shape === null) return null;
      const block = new ParameterBlock(runtime, [shape]);
      blocks.push(block);
      return block.parameters[0]!;
    });
  } catch (error) {
    for (const block of blocks) block.dispose();
    throw error;
  }
}

/** A weight and a bias. */
export interface WeightAndBias {
  readonly weight: Parameter;
  readonly bias: Parameter | null;
}

/**
 * A weight and a bias drawn from U(±bound), each by the next layer's place in the generator's counter.
 * @param shared - a checked parameter to take as the weight, as it is; null for a new one
 * @param bias - shape of the bias, or null for none
 * @throws OutOfMemoryError; nothing is left behind then
 */
export function drawWeightAndBias(
  runtime: Runtime,
  shape: Shape,
  shared: Parameter | null,
  bias: Shape | null,
  bound: number,
): WeightAndBias {
  const made = makeParameters(runtime, [shared === null ? shape : null, bias]);
  for (const parameter of made) {
    if (parameter !== null)
      runtime.fillUniform(parameter, RANDOM_STREAM.init, runtime.engine.layers++, -bound, bound);
  }
  if (shared !== null) shared.holders++;
  return { weight: shared ?? made[0]!, bias: made[1]! };
}
