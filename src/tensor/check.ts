/**
 * The one check of a tensor that comes from outside: as an operation's input, as a gradient, out of a custom operation's
 * functions. Whatever passes is a live Tensor of the dtype, runtime and shape that memory will be read by.
 */
import { describe } from '../values/checks.js';
import { type DType, type Shape, sameShape, showShape } from '../values/shape.js';
import { Runtime } from './runtime.js';
import { Tensor } from './tensor.js';

/** What a tensor has to be; what is left out may be anything. */
export interface Expected {
  readonly dtype?: DType;
  readonly runtime?: Runtime;
  readonly shape?: Shape;
}

/** @param name - what the tensor is to the caller, for the message @throws TypeError, RangeError; Error after dispose */
export function checkTensor(where: string, name: string, value: unknown, expected: Expected): Tensor {
  const { dtype, runtime, shape } = expected;
  if (!(value instanceof Tensor))
    throw new TypeError(`${where}: ${name} is ${describe(value)}, expected a Tensor`);
  if (value.disposed) throw new Error(`${where}: ${name} ${showShape(value.shape)} was used after dispose()`);
  if (value.runtime.engine.disposed) throw new Error(`${where}: the runtime was used after dispose()`);
  if (dtype !== undefined && value.dtype !== dtype)
    throw new TypeError(`${where}: ${name} is ${value.dtype}, expected ${dtype}`);
  if (runtime !== undefined && value.runtime !== runtime)
    throw new TypeError(
      `${where}: ${name} belongs to another runtime than the tensors before it, expected one runtime`,
    );
  if (shape !== undefined && !sameShape(value.shape, shape))
    throw new RangeError(`${where}: ${name} is ${showShape(value.shape)}, expected ${showShape(shape)}`);
  return value;
}

/** A Runtime that is in use. @throws TypeError; Error after dispose */
export function checkRuntime(where: string, value: unknown): Runtime {
  if (!(value instanceof Runtime))
    throw new TypeError(`${where}: runtime is ${describe(value)}, expected a Runtime`);
  if (value.engine.disposed) throw new Error(`${where}: the runtime was used after dispose()`);
  return value;
}

/** A gradient of a tensor: float32, of its runtime and shape. @throws TypeError, RangeError; Error after dispose */
export function checkGradient(where: string, name: string, value: unknown, of: Tensor): Tensor {
  return checkTensor(where, name, value, { dtype: 'f32', runtime: of.runtime, shape: of.shape });
}
