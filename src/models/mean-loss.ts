/** meanLoss: how well a model foretells texts. The command's `eval` and tests of training call it. */
import { describe } from '../values/checks.js';
import { isPlainObject } from '../values/kind.js';
import type { CausalLM } from './causal-lm.js';
import { causalLoss, IGNORED } from './causal-loss.js';
import { checkIds } from './check-ids.js';
import { checkModel } from './generate.js';

/** Ids of a text; with labels where not every token counts. */
export type LossRow =
  | ArrayLike<number>
  | {
      readonly ids: ArrayLike<number>;
      /** One for each id: the id itself where it counts, -100 where it does not. Default the ids. */
      readonly labels: ArrayLike<number>;
    };

/** What `meanLoss` gives. */
export interface MeanLoss {
  /** Mean cross-entropy of the tokens that count, each by those before it; 0 where none counts. */
  readonly loss: number;
  /** Tokens that count: of a row all but its first, if they have no label -100. */
  readonly tokens: number;
  /** e to the loss. */
  readonly perplexity: number;
}

/**
 * Mean loss over all tokens of all rows, as one long row weighs more than a short one. Nothing is recorded, and of the logits a few
 * rows are made at a time.
 * @param rows - ids of each, one at least and as many as the model's length at most
 * @throws TypeError, RangeError before anything is computed; OutOfMemoryError
 * @example
 * const { perplexity } = meanLoss(model, [tokenizer.encode(text)]);
 */
export function meanLoss(model: CausalLM, rows: readonly LossRow[]): MeanLoss {
  const where = 'meanLoss';
  checkModel(where, model);
  if (!Array.isArray(rows))
    throw new TypeError(`${where}: rows is ${describe(rows)}, expected an array of rows`);
  const own = rows.map((row: unknown, i) => checkRow(`${where}: row ${i}`, model, row));
  let [sum, tokens] = [0, 0];
  for (const row of own) {
    const { loss, count } = lossOf(model, row);
    sum += loss;
    tokens += count;
  }
  const loss = tokens === 0 ? 0 : sum / tokens;
  return { loss, tokens, perplexity: Math.exp(loss) };
}

interface Row {
  readonly ids: Int32Array<ArrayBuffer>;
  /** As `causalLoss` takes them. */
  readonly labels: Int32Array<ArrayBuffer>;
}

/** @throws TypeError, RangeError */
function checkRow(where: string, model: CausalLM, row: unknown): Row {
  const labelled = isPlainObject(row);
  const { vocabSize } = model.config;
  const ids = checkIds(
    labelled ? `${where}: ids` : where,
    (labelled ? row.ids : row) as ArrayLike<number>,
    vocabSize,
  );
  if (ids.length === 0 || ids.length > model.maxLength)
    throw new RangeError(`${where} has ${ids.length} tokens, expected 1 to ${model.maxLength}`);
  return { ids, labels: labelled ? checkLabels(`${where}: labels`, row.labels, ids, vocabSize) : ids };
}

/** @throws TypeError, RangeError */
function checkLabels(
  where: string,
  labels: unknown,
  ids: Int32Array,
  vocabSize: number,
): Int32Array<ArrayBuffer> {
  if (typeof labels !== 'object' || labels === null)
    throw new TypeError(`${where} is ${describe(labels)}, expected a label for each id`);
  const given: unknown[] = Array.from(labels as ArrayLike<unknown>);
  if (given.length !== ids.length)
    throw new RangeError(`${where} are ${given.length}, expected one for each of ${ids.length} ids`);
  const counted = given.map((label) => (label === IGNORED ? 0 : label));
  const own = checkIds(where, counted as number[], vocabSize);
  return own.map((label, i) => (given[i] === IGNORED ? IGNORED : label));
}

/** The sum of a row's losses, and how many they are. */
function lossOf(model: CausalLM, { ids, labels }: Row): { loss: number; count: number } {
  const { runtime } = model;
  return runtime.scope(() =>
    runtime.noGrad(() => {
      const { sum, count } = causalLoss(model, runtime.tensor(ids, [1, ids.length]), labels);
      return { loss: sum.item(), count };
    }),
  );
}
