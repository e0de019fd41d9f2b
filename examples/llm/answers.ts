/** Answers to many prompts at a time: those of equal length go through the model together, a token a step. */
import { argmax, type Runtime } from 'lora-wasm';
import type { LanguageModel } from 'lora-wasm/models';

/** Rows at a time. */
const BATCH = 32;

/** The likeliest text behind each prompt, up to the end of a text or a line. */
export function answersTo(
  rt: Runtime,
  lm: LanguageModel,
  prompts: readonly string[],
  maxTokens: number,
): string[] {
  const all = prompts.map((prompt) => lm.tokenizer!.encode(prompt));
  const lengths = [...new Set(all.map((ids) => ids.length))];
  const answers = new Array<string>(prompts.length);
  for (const length of lengths) {
    const rows = [...all.keys()].filter((i) => all[i]!.length === length);
    for (let at = 0; at < rows.length; at += BATCH) {
      const batch = rows.slice(at, at + BATCH);
      const texts = writeOn(
        rt,
        lm,
        batch.map((i) => all[i]!),
        maxTokens,
      );
      for (const [j, i] of batch.entries()) answers[i] = texts[j]!;
    }
  }
  return answers;
}

/** @param rows - ids, of one length */
function writeOn(
  rt: Runtime,
  { model, tokenizer, stopIds }: LanguageModel,
  rows: readonly number[][],
  maxTokens: number,
): string[] {
  const length = rows[0]!.length;
  const written = rows.map((): number[] => []);
  const text = (ids: readonly number[]): string => tokenizer!.decode(ids);
  const done = rows.map(() => false);
  const cache = model.cache(length + maxTokens, rows.length);
  try {
    let next = Int32Array.from(rows.flat());
    for (let i = 0; i < maxTokens && done.includes(false); i++) {
      const likeliest = rt.scope(() =>
        rt.noGrad(() => {
          const ids = rt.tensor(next, [rows.length, next.length / rows.length]);
          return Int32Array.from(argmax(model.decode(ids, cache)).toArray());
        }),
      );
      next = likeliest;
      for (const [row, id] of next.entries()) {
        if (done[row]) continue;
        if (stopIds.includes(id)) done[row] = true;
        else if (text([...written[row]!, id]).includes('\n')) done[row] = true;
        else written[row]!.push(id);
      }
    }
  } finally {
    cache.dispose();
  }
  return written.map((ids) => text(ids));
}
