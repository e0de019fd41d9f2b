/**
 * TextStream: ids to text as they come, as soon as the text is whole. A token may end in the middle of a character, which is held
 * back until another token ends it. `generateText` reads by it.
 */
import { checkBoolean, checkInteger, describe } from '../../values/checks.js';
import { TextTokenizer } from './text-tokenizer.js';

/** Tokens that are decoded with those that follow: what a decoder does to the beginning of a text must not happen to each. */
const BEFORE = 4;
/** What decoders write for bytes that are no character, or none yet. */
const UNFINISHED = /\ufffd$/;

/** Ids in, text out: all parts together are the text of all ids. */
export class TextStream {
  readonly #tokenizer: TextTokenizer;
  readonly #skipSpecialTokens: boolean;
  /** The last tokens, and the part of their text that is out. */
  #ids: number[] = [];
  #out = '';

  /** @throws TypeError */
  constructor(tokenizer: TextTokenizer, skipSpecialTokens = false) {
    if (!(tokenizer instanceof TextTokenizer))
      throw new TypeError(`TextStream: tokenizer is ${describe(tokenizer)}, expected a TextTokenizer`);
    this.#tokenizer = tokenizer;
    this.#skipSpecialTokens = checkBoolean('TextStream: skipSpecialTokens', skipSpecialTokens);
  }

  /**
   * The text that is whole with this token, often none. An id beyond the tokenizer's has no text.
   * @throws TypeError, RangeError for what is no id
   */
  push(id: number): string {
    checkInteger('TextStream.push: id', id, 0, 2 ** 31 - 1);
    if (id < this.#tokenizer.size) this.#ids.push(id);
    const all = this.#text(this.#ids);
    const whole = all.replace(UNFINISHED, '');
    const text = whole.slice(this.#out.length);
    this.#out += text;
    if (whole === all && this.#ids.length > 2 * BEFORE) this.#forget();
    return text;
  }

  /** What was held back, at the end. */
  flush(): string {
    const text = this.#text(this.#ids).slice(this.#out.length);
    this.#ids = [];
    this.#out = '';
    return text;
  }

  /** Keeps the last tokens alone, unless the cut is inside of a character. */
  #forget(): void {
    const ids = this.#ids.slice(-BEFORE);
    const out = this.#text(ids);
    if (out.includes('\ufffd')) return;
    this.#ids = ids;
    this.#out = out;
  }

  #text(ids: readonly number[]): string {
    return this.#tokenizer.decode(ids, { skipSpecialTokens: this.#skipSpecialTokens });
  }
}
