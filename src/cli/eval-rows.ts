/** What `lora-wasm eval` measures: a file of text in pieces, or one of JSONL, whose rows count as they do in training. */
import type { LanguageModel } from '../models/load-model.js';
import type { LossRow } from '../models/mean-loss.js';
import { parseRows } from '../train/rows.js';

/**
 * Rows of `length` tokens at most. A text that is longer goes on in the next row; a row of JSONL is cut, which `warn` is told.
 * @param path - whose ending says which of both it is
 * @throws FormatError, naming the line
 */
export function lossRows(
  path: string,
  text: string,
  { tokenizer, chat }: LanguageModel,
  { length, warn }: { readonly length: number; readonly warn: (message: string) => void },
): readonly LossRow[] {
  if (/\.(?:jsonl|ndjson)$/i.test(path))
    return parseRows(text, { tokenizer: tokenizer!, chat, maxLength: length, name: path, onWarning: warn });
  const ids = tokenizer!.encode(text);
  return Array.from({ length: Math.ceil(ids.length / length) }, (_, i) =>
    ids.slice(i * length, (i + 1) * length),
  );
}
