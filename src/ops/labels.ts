/** Labels of a loss as whole numbers of the host or a tensor: which rows count, and what their targets are. */

import type { Runtime } from '../tensor/runtime.js';
import { Tensor } from '../tensor/tensor.js';
import { typedArrayLength } from '../values/kind.js';
import { type Shape, sameShape, showShape, sizeOf } from '../values/shape.js';
import { type Indices, numbersOf } from './indices.js';

/** The rows that count, in order, and the target of each. */
export interface Counted {
  readonly rows: Int32Array<ArrayBuffer>;
  readonly targets: Int32Array<ArrayBuffer>;
}

/**
 * The rows whose label is not `ignoreIndex`.
 * @param shape - of the labels: one for each row
 * @throws TypeError, RangeError for a negative label too; whether each is a class, `checkClasses` says
 */
export function countedRows(
  where: string,
  rt: Runtime,
  labels: Indices,
  { shape, ignoreIndex }: { readonly shape: Shape; readonly ignoreIndex: number },
): Counted {
  const values = valuesOf(where, rt, labels, shape);
  const rows: number[] = [];
  for (let i = 0; i < values.length; i++) {
    const label = values[i]!;
    if (label === ignoreIndex) continue;
    if (label < 0)
      throw new RangeError(
        `${where}: label ${i} is ${label}, expected from 0 up or ignoreIndex ${ignoreIndex}`,
      );
    rows.push(i);
  }
  return { rows: Int32Array.from(rows), targets: Int32Array.from(rows, (row) => values[row]!) };
}

/** @throws RangeError unless every target is below the number of classes */
export function checkClasses(where: string, { rows, targets }: Counted, classes: number): void {
  const wrong = targets.findIndex((target) => target >= classes);
  if (wrong >= 0)
    throw new RangeError(
      `${where}: label ${rows[wrong]} is ${targets[wrong]}, expected 0 to ${classes - 1} or ignoreIndex`,
    );
}

function valuesOf(where: string, rt: Runtime, labels: Indices, shape: Shape): Int32Array {
  const values = numbersOf(where, 'labels', rt, labels);
  if (labels instanceof Tensor && !sameShape(labels.shape, shape))
    throw new RangeError(`${where}: labels is ${showShape(labels.shape)}, expected ${showShape(shape)}`);
  const [count, size] = [typedArrayLength(values), sizeOf(shape)];
  if (count !== size)
    throw new RangeError(`${where}: labels has ${count} elements, expected ${size} for ${showShape(shape)}`);
  return values;
}
