/** `lora-wasm eval`: the mean loss of a text or of rows of JSONL. */
import { yieldToEvents } from '../engine/yield.js';
import type { LanguageModel } from '../models/load-model.js';
import { type LossRow, meanLoss } from '../models/mean-loss.js';
import { lossRows } from './eval-rows.js';
import { readTextFile } from './files.js';
import type { ModelFlags } from './model-options.js';
import { checkPath, UserError } from './name-errors.js';
import { warn } from './print.js';
import { progressBar } from './progress.js';
import { withModel } from './run-model.js';

/** What the options give. */
export interface EvalFlags extends ModelFlags {
  readonly data: string;
  readonly length: number;
}

/** @throws UserError, Interrupted; errors of files, options and memory */
export async function evalCommand(flags: EvalFlags): Promise<void> {
  checkPath(flags.data, '--data');
  const { text } = await readTextFile(flags.data, 'a text or rows of JSONL');
  await withModel(flags, async (lm, signal) => {
    const length = Math.min(flags.length, lm.model.maxLength);
    const rows = lossRows(flags.data, text, lm, { length, warn });
    const begun = performance.now();
    const { loss, tokens } = await losses(lm, rows, signal);
    if (tokens === 0)
      throw new UserError(`${flags.data}: no token counts, expected rows of two tokens at least`);
    const perplexity = Math.exp(loss);
    const seconds = (performance.now() - begun) / 1000;
    const line = flags.json
      ? JSON.stringify({ loss, perplexity, tokens, rows: rows.length, seconds })
      : `loss ${loss.toFixed(5)}, perplexity ${perplexity.toPrecision(6)}, ${tokens} tokens`;
    process.stdout.write(`${line}\n`);
  });
}

/** Row by row, so that Ctrl-C is heard. */
async function losses(
  { model }: LanguageModel,
  rows: readonly LossRow[],
  signal: AbortSignal,
): Promise<{ loss: number; tokens: number }> {
  const bar = progressBar('rows', process.stderr, 'rows');
  let [sum, tokens] = [0, 0];
  try {
    for (const [i, row] of rows.entries()) {
      bar.update(i, rows.length);
      await yieldToEvents();
      signal.throwIfAborted();
      const found = meanLoss(model, [row]);
      sum += found.loss * found.tokens;
      tokens += found.tokens;
    }
  } finally {
    bar.end();
  }
  return { loss: tokens === 0 ? 0 : sum / tokens, tokens };
}
