/** ChatTemplate: messages to the text that a model was trained on, by the Jinja template that came with it. `loadModel` makes one. */
import { messageOf } from '../../platform/index.js';
import { checkBoolean, checkOptions, describe } from '../../values/checks.js';
import { FormatError } from '../../values/format-error.js';
import { isMap, isPlainObject } from '../../values/kind.js';
import { type JinjaTemplate, Template } from '../../vendor/jinja.js';
import { objectOf } from '../source/fields.js';

/** One turn of a conversation. */
export interface ChatMessage {
  /** Who speaks: `'system'`, `'user'`, `'assistant'`, or what the template knows. */
  readonly role: string;
  readonly content: string;
}

/** What `render` takes beside the messages. */
export interface RenderOptions {
  /** Whether the text goes on to where the assistant's answer begins. Default true. */
  readonly addGenerationPrompt?: boolean;
  /** What the template reads beside the messages, such as `enable_thinking` of Qwen3, by its names. Default none. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** @throws TypeError */
function checkMap(special: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  if (!isMap(special)) throw new TypeError(`ChatTemplate: special is ${describe(special)}, expected a Map`);
  return special;
}

/** The text of a conversation. */
export class ChatTemplate {
  readonly #template: JinjaTemplate;
  readonly #special: Readonly<Record<string, string>>;

  /**
   * @param text - the template, in Jinja
   * @param special - texts of special tokens that it may name: `bos_token`, `eos_token`, ...
   * @throws FormatError for a text that is no template; TypeError
   */
  constructor(text: string, special: ReadonlyMap<string, string> = new Map()) {
    if (typeof text !== 'string')
      throw new TypeError(`ChatTemplate: text is ${describe(text)}, expected a template`);
    try {
      this.#template = new Template(text);
    } catch (error) {
      throw failed('ChatTemplate: the text is no template', error);
    }
    this.#special = Object.fromEntries(checkMap(special));
  }

  /**
   * The text of a conversation; special tokens are written in it, so that it is encoded without adding any.
   * @throws FormatError with what the template says of messages that it refuses; TypeError, RangeError
   * @example
   * chat.render([{ role: 'user', content: 'Hi' }]);
   */
  render(messages: readonly ChatMessage[], options: RenderOptions = {}): string {
    const where = 'ChatTemplate.render';
    checkMessages(where, messages);
    checkOptions(where, options, ['addGenerationPrompt', 'variables']);
    const { addGenerationPrompt = true, variables = {} } = options;
    checkBoolean(`${where}: addGenerationPrompt`, addGenerationPrompt);
    if (!isPlainObject(variables))
      throw new TypeError(`${where}: variables are ${describe(variables)}, expected a plain object`);
    try {
      return this.#template.render({
        // As transformers calls a template without tools: they are none, not undefined.
        ...{ tools: null, documents: null },
        ...this.#special,
        ...variables,
        messages: messages.map((message) => ({ ...message })),
        add_generation_prompt: addGenerationPrompt,
      });
    } catch (error) {
      throw failed(`${where}: the template`, error);
    }
  }
}

function failed(where: string, error: unknown): FormatError {
  return new FormatError(`${where}: ${messageOf(error)}`, {
    cause: error,
  });
}

/** @throws TypeError, RangeError */
export function checkMessages(where: string, messages: unknown): asserts messages is readonly ChatMessage[] {
  if (!Array.isArray(messages))
    throw new TypeError(`${where}: messages are ${describe(messages)}, expected an array`);
  if (messages.length === 0) throw new RangeError(`${where}: messages are [], expected one at least`);
  for (const [i, message] of messages.entries()) {
    if (!isPlainObject(message) || typeof message.role !== 'string' || typeof message.content !== 'string')
      throw new TypeError(
        `${where}: message ${i} is ${describe(message)}, expected an object with the texts role and content`,
      );
  }
}

/**
 * The template's text out of a folder's files.
 * @param config - the text of `tokenizer_config.json`, whose field may be a text or a list of named ones
 * @param file - that of `chat_template.jinja`, which goes first
 * @returns null where neither has one
 * @throws FormatError
 */
export function templateOfFiles(where: string, config: string | null, file: string | null): string | null {
  if (file !== null) return file;
  if (config === null) return null;
  const { chat_template: found } = objectOf(`${where}: tokenizer_config.json`, config);
  if (typeof found === 'string') return found;
  if (!Array.isArray(found)) return null;
  const named = found.filter(
    (entry): entry is { name: string; template: string } =>
      isPlainObject(entry) && typeof entry.name === 'string' && typeof entry.template === 'string',
  );
  return (named.find(({ name }) => name === 'default') ?? named[0])?.template ?? null;
}
