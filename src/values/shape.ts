/** Shapes: checking, counting, printing. */
import { describe } from './checks.js';
import { bytesOf } from './dtypes.js';

export type { DType } from './dtypes.js';

/** Sizes by dimension, the slowest first; `[]` is a single number. */
export type Shape = readonly number[];

/** Number of elements; 1 for a scalar. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const dim of shape) size *= dim;
  return size;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i]);
}

/** A shape as error messages write it. */
export function showShape(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

/** A copy of a caller's shape. @throws TypeError, RangeError */
export function checkShape(where: string, shape: unknown): number[] {
  if (!Array.isArray(shape))
    throw new TypeError(`${where}: shape is ${describe(shape)}, expected an array of integers`);
  for (const dim of shape) {
    if (typeof dim !== 'number' || !Number.isSafeInteger(dim) || dim < 0) {
      throw new RangeError(`${where}: shape is ${describe(shape)}, expected integers from 0 up`);
    }
  }
  const copy = shape as number[];
  if (!Number.isSafeInteger(bytesOf(copy, 'f32')))
    throw new RangeError(`${where}: shape is ${describe(copy)}, expected fewer elements`);
  return [...copy];
}
