/** The lookup of an embedding: rows of a table by number. Its backward adds into the rows that were looked up. */
import { checkInteger, checkOptions } from '../runtime/errors.js';
import type { Runtime } from '../tensor/runtime.js';
import { showShape } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkTensors } from './check.js';

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
  const rt = checkTensors(where, { weight });
  if (checkTensors(where, { ids }, 'i32') !== rt)
    throw new TypeError(`${where}: ids belongs to another runtime than weight, expected one runtime`);
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
  return { rt, M: ids.size, N, rows, skip };
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
  const { rt, M, N, rows, skip } = checkEmbedding(where, ids, weight, options.paddingIdx ?? null);
  const { kernels } = rt.engine;
  const y = rt.empty([...ids.shape, N], 'f32');
  kernels.gatherRows(M, N, ids.pointer, weight.pointer, N, y.pointer, N);
  const { storage, offset } = ids;
  return rt.record(y, {
    name: where,
    inputs: [weight],
    saved: weight.requiresGrad ? [ids] : [],
    backward: ({ dy, target }) => {
      const dw = target(0);
      if (dw === null) return;
      if (dw.accumulate === 0) kernels.fill(rows * N, 0, dw.pointer);
      kernels.scatterAddRows(M, N, storage.pointer + offset, skip, dy.pointer, N, dw.pointer, N);
    },
  });
}
