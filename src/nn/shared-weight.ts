/** A weight that two layers share: an embedding and the head tied to it. */

import { Parameter } from '../tensor/parameter.js';
import type { Runtime } from '../tensor/runtime.js';
import { describe } from '../values/checks.js';
import { WEIGHT_DTYPES, type WeightDType } from '../values/dtypes.js';
import { sameShape, showShape } from '../values/shape.js';

/** @internal A parameter that a layer is to share; who takes it counts itself among its holders. @throws TypeError, RangeError */
export function checkSharedWeight(
  where: string,
  runtime: Runtime,
  weight: Parameter,
  shape: readonly number[],
  dtype?: WeightDType,
): Parameter {
  if (!(weight instanceof Parameter))
    throw new TypeError(`${where}: weight is ${describe(weight)}, expected a Parameter`);
  if (weight.runtime !== runtime)
    throw new TypeError(`${where}: weight belongs to another runtime, expected the layer's own`);
  if (weight.dtype === 'i32' || (dtype !== undefined && weight.dtype !== dtype))
    throw new TypeError(`${where}: weight is ${weight.dtype}, expected ${dtype ?? WEIGHT_DTYPES.join(', ')}`);
  if (!sameShape(weight.shape, shape))
    throw new RangeError(`${where}: weight is ${showShape(weight.shape)}, expected ${showShape(shape)}`);
  return weight;
}
