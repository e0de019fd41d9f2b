/**
 * The loss of a language model's head without its logits: softmax cross-entropy of head(hidden) over the rows that count. Forward
 * leaves the gradients of `hidden` and of what the head trains (`loss-by-chunks.ts`); backward only multiplies them.
 */

import { gatherRows, scatterAddRows } from '../engine/matrices.js';
import { matrix, weight } from '../engine/operands.js';
import type { Runtime } from '../tensor/runtime.js';
import type { BackwardContext, TapeNode } from '../tensor/tape.js';
import { Tensor } from '../tensor/tensor.js';
import { checkInteger, checkOptions, describe } from '../values/checks.js';
import { showShape } from '../values/shape.js';
import { asRows, checkTensors, checkWeight } from './check.js';
import type { Indices } from './indices.js';
import { countedRows } from './labels.js';
import { linearAs } from './linear.js';
import { addScaled } from './lora-terms.js';
import { lossByChunks } from './loss-by-chunks.js';

/** What gives logits of hidden rows, each by itself: a Linear, a LoRA layer over one, or a module of your own. */
export interface LogitsHead {
  /** @param hidden - [rows, K] @returns [rows, classes] */
  forward(hidden: Tensor): Tensor;
}

/** What `linearCrossEntropy` takes beside its tensors. */
export interface LinearCrossEntropyOptions {
  /** A label that takes no part in loss or gradient. Default -100. */
  readonly ignoreIndex?: number;
  /** `'mean'` divides by the number of labels that count; `'sum'` leaves that to you. Default `'mean'`. */
  readonly reduction?: 'mean' | 'sum';
}

const WHERE = 'linearCrossEntropy';

/**
 * crossEntropy(head(hidden), labels) of the rows that count, without the matrix of all logits: at most 64 rows of it exist at a
 * time. Where no label counts the loss is 0 and so are its gradients.
 * @param hidden - [..., K] float32
 * @param head - the weight [classes, K] of any dtype that products take, or a layer from [rows, K] to [rows, classes] that computes
 * each row by itself; dropout in it draws one mask a chunk
 * @param labels - int32 [...], each a class or `ignoreIndex`: a tensor, or an Int32Array of as many; the label of the next
 * token stands at the row that predicts it
 * @returns a scalar
 * @throws TypeError, RangeError, OutOfMemoryError
 * @example
 * const loss = linearCrossEntropy(model.hidden(ids), model.lm_head, labels);
 */
export function linearCrossEntropy(
  hidden: Tensor,
  head: Tensor | LogitsHead,
  labels: Indices,
  options: LinearCrossEntropyOptions = {},
): Tensor {
  const rt = checkTensors(WHERE, { hidden });
  const { rows: M, cols: K } = asRows(WHERE, 'hidden', hidden);
  const logitsOf = headOf(hidden, head, K);
  checkOptions(WHERE, options, ['ignoreIndex', 'reduction']);
  const { ignoreIndex = -100, reduction = 'mean' } = options;
  checkInteger(`${WHERE}: ignoreIndex`, ignoreIndex, -(2 ** 31), 2 ** 31 - 1);
  if (reduction !== 'mean' && reduction !== 'sum')
    throw new TypeError(`${WHERE}: reduction is ${describe(reduction)}, expected 'mean' or 'sum'`);
  const counted = countedRows(WHERE, rt, labels, { shape: hidden.shape.slice(0, -1), ignoreIndex });
  const count = counted.rows.length;
  const share = reduction === 'mean' ? 1 / Math.max(count, 1) : 1;
  return rt.attempt(() => {
    const index = count === M ? null : rt.tensor(counted.rows);
    const x = index === null ? asMatrix(hidden, M, K) : picked(hidden, index, count);
    const wanted = rt.gradEnabled && hidden.requiresGrad;
    const { total, dx, collected } = lossByChunks(WHERE, { x, logitsOf, counted, share, wanted });
    const y = rt.full([], total * share);
    const { gradients } = collected;
    const sizes = gradients.map(({ size }) => size);
    rt.record(y, {
      name: WHERE,
      inputs: { hidden, trained: collected.edges },
      keep: { index, dx, gradients },
      backward: (context) => handOn({ rt, M, K, count, sizes }, context),
    });
    for (const one of [index, x, dx, ...gradients]) one?.dispose();
    return y;
  });
}

type Context = BackwardContext<
  { readonly hidden: Tensor; readonly trained: readonly (Tensor | TapeNode)[] },
  { readonly index: Tensor | null; readonly dx: Tensor | null; readonly gradients: readonly Tensor[] }
>;

interface Sizes {
  readonly rt: Runtime;
  /** Rows of hidden, and those that counted. */
  readonly M: number;
  readonly count: number;
  readonly K: number;
  /** Of the gradients of what the head trains. */
  readonly sizes: readonly number[];
}

/** Multiplies what forward left by the loss's own gradient. */
function handOn({ rt, M, K, count, sizes }: Sizes, { dy, at, grad }: Context): void {
  const { kernels } = rt.engine;
  const s = dy.item();
  for (const [i, size] of sizes.entries()) {
    const place = grad('trained', i);
    if (place !== null) addScaled(rt, size, s, at('gradients', i), place);
  }
  const to = grad('hidden');
  if (to === null) return;
  const dx = at('dx');
  if (count === M) {
    addScaled(rt, M * K, s, dx, to);
    return;
  }
  if (to.accumulate === 0) kernels.fill(M * K, 0, to.pointer);
  // Nobody reads it again.
  if (s !== 1) kernels.scale(count * K, s, dx, dx);
  scatterAddRows(kernels, at('index'), -1, matrix(dx, count, K), matrix(to.pointer, M, K));
}

/** The same memory, cut off from the tape. */
function asMatrix({ runtime, storage, offset }: Tensor, rows: number, columns: number): Tensor {
  return runtime.adopt(new Tensor(runtime, storage.retain(), offset, [rows, columns], 'f32'));
}

/** The rows of x that `index` names. */
function picked(x: Tensor, index: Tensor, count: number): Tensor {
  const K = x.shape.at(-1)!;
  const rows = x.runtime.empty([count, K], 'f32');
  const table = weight(x.pointer, x.size / Math.max(K, 1), K);
  gatherRows(x.runtime.engine.kernels, index.pointer, table, matrix(rows.pointer, count, K));
  return rows;
}

/** The head as a function of hidden rows. @throws TypeError, RangeError */
function headOf(hidden: Tensor, head: Tensor | LogitsHead, K: number): (rows: Tensor) => Tensor {
  if (head instanceof Tensor) {
    checkWeight(WHERE, head, hidden.runtime, 'head');
    if (head.shape.length !== 2 || head.shape[1] !== K || head.shape[0] === 0)
      throw new RangeError(`${WHERE}: head is ${showShape(head.shape)}, expected [classes, ${K}]`);
    return (rows) => linearAs(WHERE, rows, head, null);
  }
  if (head === null || typeof head !== 'object' || typeof head.forward !== 'function')
    throw new TypeError(`${WHERE}: head is ${describe(head)}, expected a weight or a layer`);
  return (rows) => head.forward(rows);
}
