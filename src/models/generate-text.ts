/** generateText: text to text, by the tokenizer and the chat template that came with a model. The command and pages read by it. */
import { checkBoolean, checkOptions, describe } from '../values/checks.js';
import { checkModel, GENERATE_OPTIONS, type GenerateOptions, generateAs } from './generate.js';
import type { LanguageModel } from './load-model.js';
import type { ChatMessage } from './text/chat-template.js';
import { TextStream } from './text/text-stream.js';
import { TextTokenizer } from './text/text-tokenizer.js';

/** What `generateText` takes beside model and prompt. */
export interface GenerateTextOptions extends GenerateOptions {
  /** Tokens that end the text. Default those that the model's files name. */
  readonly stopIds?: Iterable<number>;
  /** Texts that end the writing; nothing from where the first of them begins is given. Default none. */
  readonly stop?: readonly string[];
  /** What the chat template reads beside the messages, by its names. Default none. */
  readonly variables?: Readonly<Record<string, unknown>>;
  /** Whether special tokens that are written are left out of the text. Default false. */
  readonly skipSpecialTokens?: boolean;
}

/**
 * Writes on from a text, or answers messages. What is given is whole: of a token that ends inside of a character the rest is held
 * back, and so is what might become one of the texts that end the writing. All parts together are the text.
 * @param prompt - a text, which is encoded as it is with the tokens that the tokenizer puts around texts; or messages, which the
 * model's chat template makes a text of
 * @throws TypeError, RangeError, FormatError at once, for a model without a tokenizer, and for messages without a chat template
 * too; what `generate` throws while writing
 * @example
 * const answer = generateText(lm, [{ role: 'user', content: 'What colour is the sky?' }], { maxTokens: 32 });
 * for await (const part of answer) process.stdout.write(part);
 */
export function generateText(
  lm: LanguageModel,
  prompt: string | readonly ChatMessage[],
  options: GenerateTextOptions = {},
): AsyncGenerator<string, void, undefined> {
  return writeText('generateText', lm, prompt, options).text();
}

/** A text that is about to be written. */
export interface Writing {
  readonly promptTokens: number;
  /** Tokens that are written at most. */
  readonly maxTokens: number;
  /** Writes. @param onId - told of every token before its text */
  text(onId?: (id: number) => void): AsyncGenerator<string, void, undefined>;
}

/** The same for a function of another name, with what it counts. @throws TypeError, RangeError, FormatError */
export function writeText(
  where: string,
  lm: LanguageModel,
  prompt: string | readonly ChatMessage[],
  options: GenerateTextOptions,
): Writing {
  checkOptions(where, options, [...GENERATE_OPTIONS, 'stop', 'variables', 'skipSpecialTokens']);
  const { stop = [], variables = {}, skipSpecialTokens = false, ...rest } = options;
  checkBoolean(`${where}: skipSpecialTokens`, skipSpecialTokens);
  const stops = checkStops(where, stop);
  checkLanguageModel(where, lm);
  const ids = promptIds(where, lm, prompt, variables);
  const { tokens, maxTokens } = generateAs(where, lm.model, ids, { stopIds: lm.stopIds, ...rest });
  const text: Writing['text'] = (onId) =>
    texts(tokens, new TextStream(lm.tokenizer!, skipSpecialTokens), { stops, onId });
  return { promptTokens: ids.length, maxTokens, text };
}

/** @throws TypeError */
function checkLanguageModel(where: string, lm: unknown): void {
  const fits = typeof lm === 'object' && lm !== null && 'model' in lm && 'tokenizer' in lm && 'chat' in lm;
  if (!fits) throw new TypeError(`${where}: lm is ${describe(lm)}, expected what loadModel gives`);
  checkModel(where, lm.model);
  const { tokenizer } = lm;
  if (tokenizer !== null && !(tokenizer instanceof TextTokenizer))
    throw new TypeError(`${where}: tokenizer is ${describe(tokenizer)}, expected a TextTokenizer or null`);
}

/** @throws TypeError, RangeError, FormatError */
function promptIds(
  where: string,
  lm: LanguageModel,
  prompt: string | readonly ChatMessage[],
  variables: Readonly<Record<string, unknown>>,
): number[] {
  const { tokenizer, chat } = lm;
  if (tokenizer === null)
    throw new TypeError(`${where}: the model has no tokenizer, expected one (option tokenizer of loadModel)`);
  const asText = typeof prompt === 'string';
  if (!asText && !Array.isArray(prompt))
    throw new TypeError(`${where}: prompt is ${describe(prompt)}, expected a text or messages`);
  if (!asText && chat === null)
    throw new TypeError(`${where}: the model has no chat template, expected one for messages`);
  const ids = asText
    ? tokenizer.encode(prompt)
    : tokenizer.encode(chat!.render(prompt, { variables }), { addSpecialTokens: false });
  if (ids.length === 0) throw new RangeError(`${where}: the prompt is empty, expected a token at least`);
  return ids;
}

/** @throws TypeError, RangeError */
function checkStops(where: string, stop: unknown): readonly string[] {
  if (!Array.isArray(stop) || !stop.every((text) => typeof text === 'string'))
    throw new TypeError(`${where}: stop is ${describe(stop)}, expected an array of texts`);
  if (stop.includes(''))
    throw new RangeError(`${where}: stop has an empty text, expected a character at least`);
  return [...stop];
}

async function* texts(
  tokens: AsyncGenerator<number, void, undefined>,
  stream: TextStream,
  { stops, onId }: { stops: readonly string[]; onId: ((id: number) => void) | undefined },
): AsyncGenerator<string, void, undefined> {
  let held = '';
  for await (const id of tokens) {
    onId?.(id);
    held += stream.push(id);
    const end = firstStop(held, stops);
    if (end >= 0) {
      if (end > 0) yield held.slice(0, end);
      return;
    }
    const ready = held.length - beginningOfStop(held, stops);
    if (ready > 0) yield held.slice(0, ready);
    held = held.slice(ready);
  }
  held += stream.flush();
  const end = firstStop(held, stops);
  const rest = end < 0 ? held : held.slice(0, end);
  if (rest !== '') yield rest;
}

/** Where the first of the stops begins; -1 where none is. */
function firstStop(text: string, stops: readonly string[]): number {
  const found = stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
  return found.length === 0 ? -1 : Math.min(...found);
}

/** Characters at the end that may be the beginning of a stop. */
function beginningOfStop(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops)
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--)
      if (text.endsWith(stop.slice(0, length))) longest = length;
  return longest;
}
