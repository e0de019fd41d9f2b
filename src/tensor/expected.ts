/**
 * What a tensor has to be where one comes from outside, once it is known to be a Tensor: live, and of the dtype, runtime and
 * shape that memory will be read by. Tensor itself asks here, and `check.ts` for everybody else.
 */
import { describe } from '../values/checks.js';
import { type DType, type Shape, sameShape, showShape } from '../values/shape.js';
import type { Runtime } from './runtime.js';
import type { Tensor } from './tensor.js';

/** What a tensor has to be; what is left out may be anything. */
export interface Expected {
  readonly dtype?: DType;
  readonly runtime?: Runtime;
  readonly shape?: Shape;
}

/** @param name - what the tensor is to the caller, for the message @throws TypeError, RangeError; Error after dispose */
export function checkExpected(where: string, name: string, tensor: Tensor, expected: Expected): void {
  const { dtype, runtime, shape } = expected;
  if (tensor.disposed)
    throw new Error(`${where}: ${name} ${showShape(tensor.shape)} was used after dispose()`);
  if (tensor.runtime.engine.disposed) throw new Error(`${where}: the runtime was used after dispose()`);
  if (dtype !== undefined && tensor.dtype !== dtype)
    throw new TypeError(`${where}: ${name} is ${tensor.dtype}, expected ${dtype}`);
  if (runtime !== undefined && tensor.runtime !== runtime)
    throw new TypeError(
      `${where}: ${name} belongs to another runtime than the tensors before it, expected one runtime`,
    );
  if (shape !== undefined && !sameShape(tensor.shape, shape))
    throw new RangeError(`${where}: ${name} is ${showShape(tensor.shape)}, expected ${showShape(shape)}`);
}

/** A gradient is float32, of its tensor's runtime and shape. */
export function gradientOf({ runtime, shape }: Tensor): Expected {
  return { dtype: 'f32', runtime, shape };
}

export function notATensor(where: string, name: string, value: unknown): TypeError {
  return new TypeError(`${where}: ${name} is ${describe(value)}, expected a Tensor`);
}

/** What `Tensor.requiresGrad` may be set to. @throws TypeError */
export function checkRequires({ node, dtype }: Tensor, value: unknown): void {
  if (typeof value !== 'boolean')
    throw new TypeError(`Tensor.requiresGrad is ${describe(value)}, expected a boolean`);
  if (node !== null)
    throw new TypeError('Tensor.requiresGrad: this tensor was computed by an operation, expected a leaf');
  if (value && dtype !== 'f32') throw new TypeError(`Tensor.requiresGrad: dtype is ${dtype}, expected f32`);
}
