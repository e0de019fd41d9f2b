/** One row of data as tokens: which of them count, by the form that the row has. Called by `rows.ts`, for every line. */
import { type ChatMessage, type ChatTemplate, checkMessages } from '../models/text/chat-template.js';
import type { TextTokenizer } from '../models/text/text-tokenizer.js';
import { describe } from '../values/checks.js';
import { FormatError } from '../values/format-error.js';
import { isPlainObject } from '../values/kind.js';

/** The forms that a row may have. */
export type RowForm = 'text' | 'prompt' | 'messages';

/** What turns text into ids. */
export interface RowText {
  readonly tokenizer: TextTokenizer;
  readonly chat: ChatTemplate | null;
  /** The id that ends a text; null for none. */
  readonly end: number | null;
}

/** Tokens of which some count. */
export interface Part {
  readonly ids: readonly number[];
  readonly counts: boolean;
}

/** The keys of each form. */
const KEYS: Readonly<Record<RowForm, readonly string[]>> = {
  text: ['text'],
  prompt: ['prompt', 'completion'],
  messages: ['messages'],
};
const FORMS = Object.keys(KEYS) as RowForm[];
const EXPECTED = 'expected an object with text, with prompt and completion, or with messages';
const PLAIN = { addSpecialTokens: false };

/** A row's form, and which of its keys it does not read. @param asked - null for any @throws FormatError */
export function formOf(
  row: unknown,
  asked: RowForm | null,
): { readonly form: RowForm; readonly row: Readonly<Record<string, unknown>>; readonly ignored: string[] } {
  if (!isPlainObject(row)) throw new FormatError(`the row is ${describe(row)}, ${EXPECTED}`);
  const own = row as Readonly<Record<string, unknown>>;
  const found = FORMS.filter((form) =>
    KEYS[form].every((key) => own[key] !== undefined && own[key] !== null),
  );
  const wanted = asked === null ? found : found.filter((form) => form === asked);
  const [form] = wanted;
  if (form === undefined) {
    const keys = Object.keys(own);
    const expected = asked === null ? EXPECTED : `expected ${KEYS[asked].join(' and ')}`;
    throw new FormatError(`the object has ${keys.length === 0 ? 'no key' : keys.join(', ')}, ${expected}`);
  }
  if (wanted.length > 1)
    throw new FormatError(
      `the object has ${wanted.flatMap((one) => KEYS[one]).join(', ')}, ${EXPECTED}, one of them`,
    );
  return { form, row: own, ignored: Object.keys(own).filter((key) => !KEYS[form].includes(key)) };
}

/** The tokens of a row. @throws FormatError */
export function partsOf(form: RowForm, row: Readonly<Record<string, unknown>>, text: RowText): Part[] {
  if (form === 'messages') return conversation(messagesOf('messages', row.messages), 0, text);
  if (form === 'text')
    return [{ ids: ended(text.tokenizer.encode(stringOf('text', row.text)), text), counts: true }];
  const { prompt, completion } = row;
  // Hugging Face's conversational form: messages in both.
  if (Array.isArray(prompt) && Array.isArray(completion)) {
    const before = messagesOf('prompt', prompt);
    return conversation([...before, ...messagesOf('completion', completion)], before.length, text);
  }
  const { tokenizer } = text;
  return [
    { ids: tokenizer.encode(stringOf('prompt', prompt)), counts: false },
    { ids: ended(tokenizer.encode(stringOf('completion', completion), PLAIN), text), counts: true },
  ];
}

function stringOf(key: string, value: unknown): string {
  if (typeof value !== 'string') throw new FormatError(`${key} is ${describe(value)}, expected a text`);
  return value;
}

function messagesOf(key: string, value: unknown): readonly ChatMessage[] {
  try {
    checkMessages(key, value);
    return value;
  } catch (error) {
    throw new FormatError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

/** A text with the token that ends it, once. */
function ended(ids: number[], { end }: RowText): number[] {
  return end === null || ids.length === 0 || ids.at(-1) === end ? ids : [...ids, end];
}

/**
 * A conversation by the model's template: every turn of the assistant counts, from behind what asks for it to behind its end
 * marker. Where a turn lies is found by rendering the conversation up to it.
 * @param from - the first message whose turn may count
 */
function conversation(messages: readonly ChatMessage[], from: number, { tokenizer, chat }: RowText): Part[] {
  if (chat === null) throw new FormatError('messages, and the model has no chat template, expected one');
  const render = (count: number, addGenerationPrompt: boolean): string =>
    chat.render(messages.slice(0, count), { addGenerationPrompt });
  const whole = render(messages.length, false);
  const parts: Part[] = [];
  let at = 0;
  const take = (end: number, counts: boolean): void => {
    if (end > at) parts.push({ ids: tokenizer.encode(whole.slice(at, end), PLAIN), counts });
    at = end;
  };
  for (const [i, { role }] of messages.entries()) {
    if (role !== 'assistant' || i < from) continue;
    if (i === 0) throw new FormatError('message 0 is of the assistant, expected one before it');
    const [before, after] = [render(i, true), render(i + 1, false)];
    if (!after.startsWith(before) || !whole.startsWith(after) || before.length < at)
      throw new FormatError(
        `the chat template writes message ${i} otherwise where the conversation goes on, or ends before it, expected a template that writes one message behind the other`,
      );
    take(before.length, false);
    take(after.length, true);
  }
  if (!parts.some(({ counts }) => counts))
    throw new FormatError('no message is of the assistant, expected one at least');
  take(whole.length, false);
  return parts;
}
