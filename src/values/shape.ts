/** Shapes: checking, counting, printing. */
import { describe } from './checks.js';
import { bytesOf, DTYPE_INFO, type DType, sizeOf } from './dtypes.js';

export { type DType, sizeOf } from './dtypes.js';

/** Sizes by dimension, the slowest first; `[]` is a single number. */
export type Shape = readonly number[];

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

/** @throws RangeError unless the rows of a shape, its last dimension, are whole blocks */
export function checkRows(where: string, shape: Shape, dtype: DType): void {
  const { elements } = DTYPE_INFO[dtype];
  if ((shape.at(-1) ?? 1) % elements !== 0)
    throw new RangeError(
      `${where}: shape is ${showShape(shape)}, expected rows of whole blocks of ${elements} for ${dtype}`,
    );
}

/** @param name - of what holds the elements @throws RangeError unless there are as many as a shape has */
export function checkCount(where: string, name: string, count: number, shape: Shape): void {
  if (count !== sizeOf(shape))
    throw new RangeError(
      `${where}: ${name} has ${count} elements, expected ${sizeOf(shape)} for ${showShape(shape)}`,
    );
}
