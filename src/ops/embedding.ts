/** The lookup of an embedding: rows of a table by number. Its backward adds into the rows that were looked up. */

import { gatherRows, scatterAddRows } from '../engine/matrices.js';
import { type Matrix, matrix, weight as weightOf } from '../engine/operands.js';
import type { Runtime } from '../tensor/runtime.js';
import type { GradTarget } from '../tensor/tape.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkInteger, checkOptions } from '../values/checks.js';
import type { WeightDType } from '../values/dtypes.js';
import { showShape } from '../values/shape.js';
import { checkTensors, checkWeight } from './check.js';

/** What `embedding` takes beside ids and weight. */
export interface EmbeddingOperationOptions {
  /** The row that gets no gradient, from -rows to rows - 1; negative ones count from the end. Default null: none. */
  readonly paddingIdx?: number | null;
}

/** Sizes of a lookup: M ids, a table of `rows` by N; `skip` is the row without gradient, -1 for none. */
export interface EmbeddingSizes {
  readonly rt: Runtime;
  readonly M: number;
  readonly N: number;
  readonly rows: number;
  readonly skip: number;
  /** Type of the table's elements. */
  readonly dtype: WeightDType;
}

/** The row without gradient, counted from 0; -1 for none. @throws TypeError, RangeError */
export function checkPadding(where: string, paddingIdx: number | null, rows: number): number {
  if (paddingIdx === null) return -1;
  checkInteger(`${where}: paddingIdx`, paddingIdx, -rows, rows - 1);
  return paddingIdx < 0 ? paddingIdx + rows : paddingIdx;
}

/** @throws TypeError, RangeError unless weight is [rows, dim] and every id is from 0 to rows - 1 */
export function checkEmbedding(
  where: string,
  ids: Tensor,
  weight: Tensor,
  paddingIdx: number | null,
): EmbeddingSizes {
  const rt = checkTensors(where, { ids }, 'i32');
  const dtype = checkWeight(where, weight, rt);
  if (weight.shape.length !== 2)
    throw new RangeError(`${where}: weight is ${showShape(weight.shape)}, expected [rows, dim]`);
  const [rows, N] = weight.shape as [number, number];
  const skip = checkPadding(where, paddingIdx, rows);
  const values = rt.engine.i32();
  const start = ids.pointer / 4;
  for (let i = 0; i < ids.size; i++) {
    const id = values[start + i]!;
    if (id < 0 || id >= rows) throw new RangeError(`${where}: id ${i} is ${id}, expected 0 to ${rows - 1}`);
  }
  return { rt, M: ids.size, N, rows, skip, dtype };
}

/**
 * y[..., :] = weight[ids[...], :].
 * @param ids - any shape, int32, each from 0 to rows - 1
 * @param weight - [rows, dim] float32
 * @returns [..., dim]
 * @throws TypeError, RangeError
 * @example
 * const y = embedding(rt.tensor(Int32Array.of(2, 0)), rt.normal([3, 8])); // [2, 8]
 */
export function embedding(ids: Tensor, weight: Tensor, options: EmbeddingOperationOptions = {}): Tensor {
  return embeddingAs('embedding', ids, weight, options);
}

/** The same for a layer, which errors then name. */
export function embeddingAs(
  where: string,
  ids: Tensor,
  weight: Tensor,
  options: EmbeddingOperationOptions,
): Tensor {
  checkOptions(where, options, ['paddingIdx']);
  const sizes = checkEmbedding(where, ids, weight, options.paddingIdx ?? null);
  const { rt, M, N, rows, dtype } = sizes;
  const y = rt.empty([...ids.shape, N], 'f32');
  gatherRows(
    rt.engine.kernels,
    ids.pointer,
    weightOf(weight.pointer, rows, N, dtype),
    matrix(y.pointer, M, N),
  );
  return rt.record(y, {
    name: where,
    inputs: { weight },
    keep: { ids: weight.requiresGrad ? ids : null },
    backward({ dy, at, grad }) {
      const dw = grad('weight');
      if (dw !== null) tableGradient(sizes, at('ids'), matrix(dy.pointer, M, N), dw);
    },
  });
}

/** dW[ids[m], :] += dy[m, :], the rows that no id names 0. */
export function tableGradient(
  { rt, N, rows, skip }: EmbeddingSizes,
  ids: number,
  dy: Matrix,
  dw: GradTarget,
): void {
  const { kernels } = rt.engine;
  if (dw.accumulate === 0) kernels.fill(rows * N, 0, dw.pointer);
  scatterAddRows(kernels, ids, skip, dy, matrix(dw.pointer, rows, N));
}
