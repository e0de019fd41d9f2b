/** What an adapter changes: scale·B·A of a module, and norms of it without forming it. */

import { FormatError } from '../values/format-error.js';
import { checkArray, checkModule } from './check-file.js';
import type { LoraArray, LoraModule } from './lora-file.js';
import { checkStrength } from './strength.js';

/**
 * The change of the base weight, in the base's layout: linear [out, in], embedding [rows, dim], conv2d [out, in, kh, kw]
 * (grouped convolutions as the ungrouped one that they equal). Sums in float64.
 * @throws FormatError when the scale is unknown
 */
export function deltaWeight(module: LoraModule): LoraArray {
  checkModule('deltaWeight: module', module);
  const { A, B, r, kind } = module;
  const { scale } = checkStrength('deltaWeight', module.path, module);
  if (scale === null)
    throw new FormatError(`deltaWeight: the alpha of '${module.path}' is unknown, expected it to be given`);
  const { rows, columns, width } = sizes(module);
  const data = new Float32Array(rows * columns);
  const perGroup = rows / (r / width);
  for (let i = 0; i < rows; i++) {
    const first = Math.floor(i / perGroup) * width;
    for (let j = 0; j < columns; j++) {
      let sum = 0;
      for (let k = 0; k < width; k++) sum += B.data[i * width + k]! * A.data[(first + k) * columns + j]!;
      data[kind === 'embedding' ? j * rows + i : i * columns + j] = scale * sum;
    }
  }
  const shape = kind === 'embedding' ? [columns, rows] : [rows, ...A.shape.slice(1)];
  return { shape, data };
}

/** Frobenius norm. */
export function norm(array: LoraArray): number {
  checkArray('norm: array', array);
  const { data } = array;
  let sum = 0;
  for (const value of data) sum += value * value;
  return Math.sqrt(sum);
}

/** Norm of scale·B·A from the r x r products Bᵀ·B and A·Aᵀ, since |B·A|² = trace(BᵀB·AAᵀ); null when the scale is unknown. */
export function deltaNorm(module: LoraModule): number | null {
  checkModule('deltaNorm: module', module);
  const { A, B, r } = module;
  const { scale } = checkStrength('deltaNorm', module.path, module);
  if (scale === null) return null;
  const { rows, columns, width } = sizes(module);
  const perGroup = rows / (r / width);
  let sum = 0;
  for (let first = 0, top = 0; first < r; first += width, top += perGroup) {
    for (let k = 0; k < width; k++) {
      for (let l = 0; l < width; l++) {
        let bb = 0;
        for (let i = top; i < top + perGroup; i++) bb += B.data[i * width + k]! * B.data[i * width + l]!;
        let aa = 0;
        for (let j = 0; j < columns; j++)
          aa += A.data[(first + k) * columns + j]! * A.data[(first + l) * columns + j]!;
        sum += bb * aa;
      }
    }
  }
  return Math.abs(scale) * Math.sqrt(Math.max(sum, 0));
}

function sizes({ A, B, r }: LoraModule): { rows: number; columns: number; width: number } {
  return { rows: B.shape[0]!, columns: A.data.length / r, width: B.shape[1]! };
}
