/** What `lora-wasm eval` measures: a file of text in pieces, or one of JSONL, a row a line, as ids with what counts of them. */

import type { LanguageModel } from '../models/load-model.js';
import type { LossRow } from '../models/mean-loss.js';
import { checkMessages } from '../models/text/chat-template.js';
import { isPlainObject } from '../values/kind.js';
import { UserError } from './name-errors.js';

const IGNORED = -100;

/**
 * Rows of `length` tokens at most; what is longer goes on in the next.
 * @param path - whose ending says which of both it is
 * @throws UserError, naming the line
 */
export function lossRows(path: string, text: string, lm: LanguageModel, length: number): LossRow[] {
  if (!/\.(?:jsonl|ndjson)$/i.test(path)) return pieces(all(lm.tokenizer!.encode(text)), length);
  return text.split('\n').flatMap((line, i) => {
    if (line.trim() === '') return [];
    try {
      return pieces(rowOf(JSON.parse(line), lm), length);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new UserError(`${path}: line ${i + 1}: ${why}`);
    }
  });
}

interface Labelled {
  readonly ids: readonly number[];
  readonly labels: readonly number[];
}

const all = (ids: readonly number[]): Labelled => ({ ids, labels: ids });

/** `{ text }`, `{ messages }`, or `{ prompt, completion }`, of which the completion counts. */
function rowOf(row: unknown, { tokenizer, chat }: LanguageModel): Labelled {
  const forms = 'expected an object with text, messages, or prompt and completion';
  if (!isPlainObject(row)) throw new UserError(`no object, ${forms}`);
  const { text, messages, prompt, completion } = row;
  const plain = { addSpecialTokens: false };
  if (typeof text === 'string') return all(tokenizer!.encode(text));
  if (messages !== undefined) {
    if (chat === null) throw new UserError('messages, and the model has no chat template, expected one');
    checkMessages('row', messages);
    return all(tokenizer!.encode(chat.render(messages, { addGenerationPrompt: false }), plain));
  }
  if (typeof prompt !== 'string' || typeof completion !== 'string') throw new UserError(forms);
  const [before, after] = [tokenizer!.encode(prompt), tokenizer!.encode(completion, plain)];
  return { ids: [...before, ...after], labels: [...before.map(() => IGNORED), ...after] };
}

function pieces({ ids, labels }: Labelled, length: number): LossRow[] {
  return Array.from({ length: Math.ceil(ids.length / length) }, (_, i) => ({
    ids: ids.slice(i * length, (i + 1) * length),
    labels: labels.slice(i * length, (i + 1) * length),
  }));
}
