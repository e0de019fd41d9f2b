/** A layer's own parameters, each in a block of its own: all of them are made, or none. Called by the layers' constructors. */
import { wordsOf } from '../tensor/content.js';
import { type Parameter, ParameterBlock } from '../tensor/parameter.js';
import { type Draw, fillUniform, nextInit } from '../tensor/random.js';
import type { Runtime } from '../tensor/runtime.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkDType, isQuantised, WEIGHT_DTYPES, type WeightDType } from '../values/dtypes.js';
import { checkRows, type Shape } from '../values/shape.js';
import { checkSharedWeight } from './shared-weight.js';

/** What a layer's options say of its weight. */
export interface WeightOptions {
  readonly weight?: Parameter;
  readonly dtype?: WeightDType;
}

/** A weight to be made, or taken. */
export interface WeightPlan {
  readonly shape: Shape;
  readonly dtype: WeightDType;
  /** A checked parameter to take as it is; null for a new one. */
  readonly shared: Parameter | null;
}

/** @throws TypeError, RangeError for a weight to share of another shape, runtime or dtype, and for rows that are no whole blocks */
export function checkWeightOptions(
  where: string,
  runtime: Runtime,
  { weight, dtype }: WeightOptions,
  shape: Shape,
): WeightPlan {
  if (dtype !== undefined) checkDType(where, dtype, WEIGHT_DTYPES);
  if (weight === undefined) {
    checkRows(where, shape, dtype ?? 'f32');
    return { shape, dtype: dtype ?? 'f32', shared: null };
  }
  const shared = checkSharedWeight(where, runtime, weight, shape, dtype);
  return { shape, dtype: dtype ?? 'f32', shared };
}

/** A parameter to be made; of float32 where no dtype is given. */
export interface NewParameter {
  readonly shape: Shape;
  readonly dtype?: WeightDType;
}

/** New parameters, zero; null stays null. @throws OutOfMemoryError; nothing is left behind then */
export function makeParameters(
  runtime: Runtime,
  plans: readonly (NewParameter | null)[],
): (Parameter | null)[] {
  const blocks: ParameterBlock[] = [];
  try {
    return plans.map((one) => {
      if (one === null) return null;
      const block = new ParameterBlock(runtime, [one.shape], one.dtype);
      blocks.push(block);
      return block.parameters[0]!;
    });
  } catch (error) {
    for (const block of blocks) block.dispose();
    throw error;
  }
}

/**
 * Draws a parameter anew, at the next layer's place in the generator's counter: what `draw` writes to a float32 tensor, rounded
 * where the parameter has 16 bits. A quantised one has its place and stays zero: it is there to be filled.
 * @throws OutOfMemoryError
 */
export function drawInto(
  runtime: Runtime,
  parameter: Parameter,
  draw: (to: Tensor, place: Draw) => void,
): void {
  // What can fail comes before the place is taken.
  const own = parameter.dtype === 'f32' || isQuantised(parameter.dtype);
  const to = own ? parameter : runtime.empty(parameter.shape, 'f32');
  const place = nextInit(runtime);
  if (isQuantised(parameter.dtype)) return;
  draw(to, place);
  if (own) return;
  parameter.write(wordsOf(to));
  to.dispose();
}

/** A weight and a bias. */
export interface WeightAndBias {
  readonly weight: Parameter;
  readonly bias: Parameter | null;
}

/**
 * A weight and a float32 bias drawn from U(±bound), each by the next layer's place in the generator's counter.
 * @param bias - shape of the bias, or null for none
 * @throws OutOfMemoryError; nothing is left behind then
 */
export function drawWeightAndBias(
  runtime: Runtime,
  { shape, dtype, shared }: WeightPlan,
  bias: Shape | null,
  bound: number,
): WeightAndBias {
  const weight = shared === null ? { shape, dtype } : null;
  const made = makeParameters(runtime, [weight, bias === null ? null : { shape: bias }]);
  try {
    for (const parameter of made) {
      if (parameter === null) continue;
      drawInto(runtime, parameter, (to, place) => fillUniform(to, place, -bound, bound));
    }
  } catch (error) {
    for (const parameter of made) parameter?.block.dispose();
    throw error;
  }
  if (shared !== null) shared.holders++;
  return { weight: shared ?? made[0]!, bias: made[1]! };
}
