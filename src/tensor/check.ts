/**
 * The one check of a tensor that comes from outside: as an operation's input, as a gradient, out of a custom operation's
 * functions. Whatever passes is a live Tensor of the dtype, runtime and shape that memory will be read by.
 */
import { checkExpected, type Expected, gradientOf, notATensor } from './expected.js';
import { Tensor } from './tensor.js';

/** @param name - what the tensor is to the caller, for the message @throws TypeError, RangeError; Error after dispose */
export function checkTensor(where: string, name: string, value: unknown, expected: Expected): Tensor {
  if (!(value instanceof Tensor)) throw notATensor(where, name, value);
  checkExpected(where, name, value, expected);
  return value;
}

/** A gradient of a tensor: float32, of its runtime and shape. @throws TypeError, RangeError; Error after dispose */
export function checkGradient(where: string, name: string, value: unknown, of: Tensor): Tensor {
  return checkTensor(where, name, value, gradientOf(of));
}
