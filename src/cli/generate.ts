/** `lora-wasm generate`: writes on from a text, or answers. The text goes to standard output as it comes, and nothing else does. */
import { writeText } from '../models/generate-text.js';
import type { LanguageModel } from '../models/load-model.js';
import type { ChatMessage } from '../models/text/chat-template.js';
import { FormatError } from '../values/format-error.js';
import { Interrupted } from './interrupted.js';
import type { ModelFlags } from './model-options.js';
import { UserError } from './name-errors.js';
import { withModel } from './run-model.js';

/** What the options give. */
export interface GenerateFlags extends ModelFlags {
  readonly prompt: string;
  readonly chat?: boolean;
  readonly system?: string;
  readonly maxTokens?: number;
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly repetitionPenalty: number;
  readonly seed: number;
  readonly stop?: readonly string[];
}

/** @throws UserError, Interrupted; errors of files, options and memory */
export async function generateCommand(flags: GenerateFlags): Promise<void> {
  const { prompt, chat = false, system, stop = [] } = flags;
  if (prompt === '') throw new UserError('--prompt is empty, expected a text');
  if (system !== undefined && !chat) throw new UserError('--system is given without --chat, expected both');
  if (stop.includes('')) throw new UserError('--stop is empty, expected a text');
  await withModel(flags, async (lm, signal) => {
    if (chat && lm.chat === null)
      throw new UserError(`${flags.model}: the model has no chat template, expected one for --chat`);
    await write(lm, chat ? messagesOf(prompt, system) : prompt, flags, signal);
  });
}

function messagesOf(prompt: string, system: string | undefined): ChatMessage[] {
  const first = system === undefined ? [] : [{ role: 'system', content: system }];
  return [...first, { role: 'user', content: prompt }];
}

async function write(
  lm: LanguageModel,
  prompt: string | ChatMessage[],
  flags: GenerateFlags,
  signal: AbortSignal,
): Promise<void> {
  const { maxTokens, temperature, topK, topP, repetitionPenalty, seed, stop = [], json = false } = flags;
  const ids: number[] = [];
  const options = {
    ...{ temperature, topK, topP, repetitionPenalty, seed, stop, signal },
    ...(maxTokens === undefined ? {} : { maxTokens }),
  };
  const written = inWordsOf(flags, () => writeText('generate', lm, prompt, options));
  const begun = performance.now();
  let text = '';
  try {
    for await (const part of written.text((id) => ids.push(id))) {
      text += part;
      if (!json) process.stdout.write(shown(part));
    }
  } catch (error) {
    // What was written stays, on a line of its own.
    if (error instanceof Interrupted && !json && text !== '') process.stdout.write('\n');
    throw error;
  }
  const seconds = (performance.now() - begun) / 1000;
  // What ends the text may come with the last token that was allowed.
  const stopped = stop.some((end) => lm.tokenizer!.decode(ids).includes(end));
  const finish = ids.length === written.maxTokens && !stopped ? 'length' : 'stop';
  const report = { text, ids, tokens: ids.length, promptTokens: written.promptTokens, finish, seconds };
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : '\n');
}

/** Errors of the prompt and of its length name the options, those of the template the model. */
function inWordsOf<T>({ model }: GenerateFlags, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof FormatError)
      throw new FormatError(`${model}: ${error.message.replace(/^ChatTemplate\.render: /, '')}`, {
        cause: error,
      });
    if (!(error instanceof RangeError)) throw error;
    const text = error.message
      .replace(/^generate: maxTokens \(prompt of (\d+), maxLength/, '--max-tokens (prompt of $1, length')
      .replace(/^generate: (?:the )?prompt /, '--prompt ')
      .replace(/ \(maxLength of loadModel is \d+\)$/, '');
    throw new UserError(text);
  }
}

/** A terminal gets no control characters that a model wrote but tabs and line feeds; a file or another program gets the text as it is. */
function shown(text: string): string {
  if (!process.stdout.isTTY) return text;
  return text.replace(/[^\P{Cc}\t\n]/gu, '\ufffd');
}
