/** Answers to many prompts at a time: those of equal length go through the model together, a token a step. */
import { argmax, type Runtime } from 'lora-wasm';
import type { LanguageModel } from 'lora-wasm/models';

/** Rows at a time, at most. */
const MOST = 24;

/** How to ask. */
export interface Asking {
  /** Tokens of an answer at most. */
  readonly maxTokens: number;
  /** What comes before every prompt, such as examples; it is read once. */
  readonly before?: string;
}

/** The likeliest text behind each prompt, up to the end of a text or a line. */
export function answersTo(
  rt: Runtime,
  lm: LanguageModel,
  prompts: readonly string[],
  { maxTokens, before = '' }: Asking,
): string[] {
  const { model, tokenizer } = lm;
  const first = before === '' ? [] : tokenizer!.encode(before);
  const all = prompts.map((prompt) => tokenizer!.encode(prompt));
  const lengths = [...new Set(all.map((ids) => ids.length))];
  // As few as the largest group of equal length takes, in batches of one size.
  const largest = Math.max(...lengths.map((length) => all.filter((ids) => ids.length === length).length));
  const size = Math.ceil(largest / Math.ceil(largest / MOST));
  const answers = new Array<string>(prompts.length);
  using cache = model.cache(first.length + Math.max(...lengths) + maxTokens, size);
  const decode = (ids: readonly number[]): Int32Array =>
    rt.scope(() =>
      rt.noGrad(() =>
        Int32Array.from(
          argmax(model.decode(rt.tensor(Int32Array.from(ids), [size, ids.length / size]), cache)).toArray(),
        ),
      ),
    );
  if (first.length > 0) decode(Array.from({ length: size }, () => first).flat());
  for (const length of lengths) {
    const rows = [...all.keys()].filter((i) => all[i]!.length === length);
    for (let at = 0; at < rows.length; at += size) {
      const batch = rows.slice(at, at + size);
      // The cache has so many rows: where there are fewer, the last one goes in more than once.
      const padded = Array.from({ length: size }, (_, j) => all[batch[Math.min(j, batch.length - 1)]!]!);
      cache.truncate(first.length);
      const texts = writeOn(lm, decode, padded, { maxTokens, wanted: batch.length });
      for (const [j, i] of batch.entries()) answers[i] = texts[j]!;
    }
  }
  return answers;
}

/** @param rows - ids, of one length; of the first `wanted` the texts are wanted */
function writeOn(
  { tokenizer, stopIds }: LanguageModel,
  decode: (ids: readonly number[]) => Int32Array,
  rows: readonly (readonly number[])[],
  { maxTokens, wanted }: { readonly maxTokens: number; readonly wanted: number },
): string[] {
  const written = rows.map((): number[] => []);
  const done = rows.map((_, row) => row >= wanted);
  let next = rows.flat();
  for (let i = 0; i < maxTokens && done.includes(false); i++) {
    next = [...decode(next)];
    for (const [row, id] of next.entries()) {
      if (done[row]) continue;
      const ends = stopIds.includes(id) || tokenizer!.decode([...written[row]!, id]).includes('\n');
      if (ends) done[row] = true;
      else written[row]!.push(id);
    }
  }
  return written.slice(0, wanted).map((ids) => tokenizer!.decode(ids));
}
