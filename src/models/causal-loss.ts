/** causalLoss: what a language model is trained by. Loops of training call it, and meanLoss. */
import { type Indices, numbersOf } from '../ops/indices.js';
import { linearCrossEntropy } from '../ops/linear-cross-entropy.js';
import { checkTensor } from '../tensor/check.js';
import { Tensor } from '../tensor/tensor.js';
import { checkOptions } from '../values/checks.js';
import { typedArrayLength } from '../values/kind.js';
import { sameShape, showShape } from '../values/shape.js';
import type { CausalLM } from './causal-lm.js';
import { checkModel } from './generate.js';

/** How rows lie in `ids`, where several share a sequence. */
export interface CausalLossOptions {
  /** int32 [B·T]: the first token that each token may see; it begins a row of its own. Default 0. */
  readonly starts?: Indices;
  /** int32 [T] or [B·T]; default 0 to T - 1. Packed rows count anew from their starts. */
  readonly positions?: Indices;
}

/** What `causalLoss` gives: a `Trainer`'s loss function may return it as it is. */
export interface CausalLoss {
  /** The sum of the losses of the tokens that count, a scalar. */
  readonly sum: Tensor;
  /** How many count. */
  readonly count: number;
}

/** The label of a token that does not count. */
export const IGNORED = -100;

/**
 * The cross-entropy of each token that counts, foretold by those before it in its row. Of the logits a few rows exist at a time.
 * @param ids - int32 [B, T]
 * @param labels - int32 [B, T], or an Int32Array of as many: the id itself where the token counts, -100 where not, as in transformers; a
 * row's first token, which nothing foretells, never counts
 * @throws TypeError, RangeError, OutOfMemoryError
 * @example
 * const { sum, count } = causalLoss(model, ids, labels);
 * scale(sum, 1 / count).backward();
 */
export function causalLoss(
  model: CausalLM,
  ids: Tensor,
  labels: Indices,
  options: CausalLossOptions = {},
): CausalLoss {
  const where = 'causalLoss';
  checkModel(where, model);
  const rt = model.runtime;
  checkTensor(where, 'ids', ids, { dtype: 'i32', runtime: rt });
  checkOptions(where, options, ['starts', 'positions']);
  const { starts, positions } = options;
  const given = hostValues(where, 'labels', labels, ids);
  const first = starts === undefined ? null : hostValues(where, 'starts', starts, ids);
  const T = ids.shape[1] ?? 0;
  checkLabels(where, given, model.config.vocabSize);
  // The label of the next token stands where that is foretold.
  const targets = new Int32Array(ids.size).fill(IGNORED);
  let count = 0;
  for (let i = 0; i + 1 < ids.size; i++) {
    const t = (i + 1) % T;
    const label = given[i + 1]!;
    if (t === 0 || first?.[i + 1] === t || label === IGNORED) continue;
    targets[i] = label;
    count++;
  }
  const hidden = model.hidden(ids, starts, positions);
  return { sum: linearCrossEntropy(hidden, model.lm_head, targets, { reduction: 'sum' }), count };
}

/** @throws RangeError unless each is a token or does not count */
function checkLabels(where: string, labels: Int32Array, limit: number): void {
  const wrong = labels.findIndex((label) => label !== IGNORED && (label < 0 || label >= limit));
  if (wrong >= 0)
    throw new RangeError(
      `${where}: label ${wrong} is ${labels[wrong]}, expected 0 to ${limit - 1} or ${IGNORED}`,
    );
}

/** Whole numbers, one for each id, as the host has them. @throws TypeError, RangeError */
function hostValues(where: string, name: string, given: Indices, ids: Tensor): Int32Array {
  const values = numbersOf(where, name, ids.runtime, given);
  if (!(given instanceof Tensor)) {
    const count = typedArrayLength(values);
    if (count !== ids.size)
      throw new RangeError(
        `${where}: ${name} has ${count} elements, expected ${ids.size} for ${showShape(ids.shape)}`,
      );
    return values;
  }
  if (given.size !== ids.size || !(sameShape(given.shape, ids.shape) || given.shape.length === 1))
    throw new RangeError(`${where}: ${name} is ${showShape(given.shape)}, expected ${showShape(ids.shape)}`);
  return Int32Array.from(values);
}
