/** Numbers with their shape: what formats read and write, what a state dict holds, and the transpose of a matrix of them. */
import type { Shape } from './shape.js';

/**
 * Elements in row-major order with their shape.
 * @typeParam Data - the array, float32 where nothing else is said
 */
export interface ShapedArray<Data = Float32Array> {
  readonly shape: Shape;
  readonly data: Data;
  /** Type of the elements; default: the array's own. */
  readonly dtype?: string;
}

/** The transpose of a matrix. */
export function transposed({ shape, data }: ShapedArray): ShapedArray {
  const [rows = 0, columns = 0] = shape;
  const turned = new Float32Array(data.length);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) turned[j * rows + i] = data[i * columns + j]!;
  return { shape: [columns, rows], data: turned };
}
