/**
 * parseRows: JSONL, as Hugging Face and mlx-lm have it, to rows of tokens and labels. The `train` command reads its data by it,
 * and programs do.
 */
import { ChatTemplate } from '../models/text/chat-template.js';
import { TextTokenizer } from '../models/text/text-tokenizer.js';
import { checkBoolean, checkInteger, checkOptions, describe } from '../values/checks.js';
import { FormatError } from '../values/format-error.js';
import { formOf, type Part, partsOf, type RowForm, type RowText } from './row-forms.js';

/** A row as a model reads it. */
export interface TokenRow {
  readonly ids: Int32Array<ArrayBuffer>;
  /** The id itself where the token counts, -100 where not. */
  readonly labels: Int32Array<ArrayBuffer>;
}

/** Options of `parseRows`. */
export interface ParseRowsOptions {
  readonly tokenizer: TextTokenizer;
  /** The template that makes a text of messages. Default null: rows of messages are refused. */
  readonly chat?: ChatTemplate | null;
  /** The form that every row must have; `'auto'` takes each as it is. Default `'auto'`. */
  readonly format?: 'auto' | RowForm;
  /** Tokens of a row at most; what is behind them is cut off. Default 512. */
  readonly maxLength?: number;
  /** Whether of a prompt, and of what others than the assistant say, nothing counts. Default true. */
  readonly maskPrompt?: boolean;
  /** What errors call the text, such as the path of its file. Default `parseRows`. */
  readonly name?: string;
  /** Told of rows that were cut, and of keys that mean nothing here. Default `console.warn`. */
  readonly onWarning?: (message: string) => void;
}

const NAMES = ['tokenizer', 'chat', 'format', 'maxLength', 'maskPrompt', 'name', 'onWarning'];
const FORMATS = ['auto', 'text', 'prompt', 'messages'] as const;
const IGNORED = -100;

/** What there is to say of all rows together. */
class Notes {
  readonly ignored = new Set<string>();
  longer = 0;
  cut = 0;
  emptied = 0;
  firstEmptied = 0;

  tell(name: string, maxLength: number, tell: (message: string) => void): void {
    if (this.ignored.size > 0)
      tell(`${name}: not read: ${[...this.ignored].map((key) => `'${key}'`).join(', ')}`);
    if (this.longer > 0)
      tell(
        `${name}: ${rows(this.longer)} longer than ${maxLength} tokens, ${this.cut} tokens behind them are cut off${
          this.emptied > 0 ? `; of ${this.emptied} nothing that counts is left, they are left out` : ''
        }`,
      );
  }
}

const rows = (count: number): string => (count === 1 ? '1 row is' : `${count} rows are`);

/**
 * Rows of JSONL, an object a line: `{ text }`, of which all counts; `{ prompt, completion }`, of which the completion does; or
 * `{ messages }`, of which every turn of the assistant does with its end marker. Texts and completions end with the model's end
 * of text. Empty lines are passed over.
 * @throws FormatError for a line that is none of these, has two of the forms, or in which nothing counts, naming the line; for a text
 * without a row; TypeError, RangeError
 * @example
 * const rows = parseRows(text, { tokenizer: lm.tokenizer, chat: lm.chat, maxLength: 512 });
 */
export function parseRows(text: string, options: ParseRowsOptions): TokenRow[] {
  const where = 'parseRows';
  if (typeof text !== 'string')
    throw new TypeError(`${where}: text is ${describe(text)}, expected lines of JSON`);
  const { asked, maxLength, maskPrompt, name, tell, rowText } = checkParseOptions(where, options);
  const notes = new Notes();
  const found: TokenRow[] = [];
  let lines = 0;
  for (const [i, line] of text
    .replace(/^\ufeff/, '')
    .split('\n')
    .entries()) {
    if (line.trim() === '') continue;
    lines++;
    const at = `${name}: line ${i + 1}: `;
    try {
      const { form, row, ignored } = formOf(parsed(line), asked);
      for (const key of ignored) notes.ignored.add(key);
      const whole = joined(partsOf(form, row, rowText), maskPrompt);
      const cut = shortened(whole, maxLength);
      if (cut !== whole) {
        notes.longer++;
        notes.cut += whole.ids.length - maxLength;
      }
      if (counted(cut) > 0) found.push(cut);
      else if (counted(whole) > 0) {
        notes.emptied++;
        notes.firstEmptied ||= i + 1;
      } else throw new FormatError('no token counts, expected one at least behind the first token');
    } catch (error) {
      throw new FormatError(at + (error instanceof Error ? error.message : String(error)), { cause: error });
    }
  }
  if (lines === 0) throw new FormatError(`${name}: there is no row, expected one at least`);
  if (found.length === 0)
    throw new FormatError(
      `${name}: line ${notes.firstEmptied}: no token counts within ${maxLength} tokens, here or in any other row, expected shorter prompts or a larger length`,
    );
  notes.tell(name, maxLength, tell);
  return found;
}

/** @throws FormatError */
function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new FormatError(`the line is no JSON (${why}), expected an object in each line`, { cause: error });
  }
}

interface Checked {
  readonly asked: RowForm | null;
  readonly maxLength: number;
  readonly maskPrompt: boolean;
  readonly name: string;
  readonly tell: (message: string) => void;
  readonly rowText: RowText;
}

/** @throws TypeError, RangeError */
function checkParseOptions(where: string, options: ParseRowsOptions): Checked {
  checkOptions(where, options, NAMES);
  const { tokenizer, chat = null, format = 'auto', name = where, onWarning = console.warn } = options;
  if (!(tokenizer instanceof TextTokenizer))
    throw new TypeError(`${where}: tokenizer is ${describe(tokenizer)}, expected a TextTokenizer`);
  if (chat !== null && !(chat instanceof ChatTemplate))
    throw new TypeError(`${where}: chat is ${describe(chat)}, expected a ChatTemplate or null`);
  if (!FORMATS.includes(format))
    throw new TypeError(
      `${where}: format is ${describe(format)}, expected ${FORMATS.map((one) => `'${one}'`).join(', ')}`,
    );
  if (typeof name !== 'string') throw new TypeError(`${where}: name is ${describe(name)}, expected a text`);
  if (typeof onWarning !== 'function')
    throw new TypeError(`${where}: onWarning is ${describe(onWarning)}, expected a function`);
  const token = tokenizer.special.get('eos_token');
  return {
    asked: format === 'auto' ? null : format,
    maxLength: checkInteger(`${where}: maxLength`, options.maxLength ?? 512, 2, 2 ** 24),
    maskPrompt: checkBoolean(`${where}: maskPrompt`, options.maskPrompt ?? true),
    ...{ name, tell: onWarning },
    rowText: { tokenizer, chat, end: token === undefined ? null : tokenizer.idOf(token) },
  };
}

function joined(parts: readonly Part[], maskPrompt: boolean): TokenRow {
  const ids = Int32Array.from(parts.flatMap((part) => part.ids));
  const labels = Int32Array.from(
    parts.flatMap((part) => (part.counts || !maskPrompt ? part.ids : part.ids.map(() => IGNORED))),
  );
  return { ids, labels };
}

function shortened(row: TokenRow, length: number): TokenRow {
  if (row.ids.length <= length) return row;
  return { ids: row.ids.slice(0, length), labels: row.labels.slice(0, length) };
}

/** Tokens that count: the first one, which nothing foretells, never does. */
function counted({ labels }: TokenRow): number {
  return labels.reduce((count, label, i) => count + Number(i > 0 && label !== IGNORED), 0);
}
