/** Arrays as peers want them. */

/** The transpose of a row-major [rows, columns] matrix. */
export function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) result[j * rows + i] = values[i * columns + j]!;
  }
  return result;
}
