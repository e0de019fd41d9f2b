/** TextTokenizer: text to token ids and back, over the library that reads `tokenizer.json`. `loadModel` makes one. */
import { messageOf } from '../../platform/index.js';
import { checkBoolean, checkOptions, describe } from '../../values/checks.js';
import { FormatError } from '../../values/format-error.js';
import { isMap } from '../../values/kind.js';
import { type JsonTokenizer, Tokenizer } from '../../vendor/tokenizers.js';
import { jsonOfGguf } from './gguf-tokenizer.js';
import { type Built, builtFromJson } from './tokenizer-json.js';

/** What `encode` takes beside the text. */
export interface EncodeOptions {
  /** Whether the tokens that the tokenizer puts around a text are added, such as the one that begins it. Default true. */
  readonly addSpecialTokens?: boolean;
}

/** What `decode` takes beside the ids. */
export interface DecodeOptions {
  /** Whether special tokens are left out of the text. Default false. */
  readonly skipSpecialTokens?: boolean;
}

/** Text to token ids and back. */
export class TextTokenizer {
  readonly #inner: JsonTokenizer;
  /** Tokens that there are, the special ones among them: ids are below it. */
  readonly size: number;
  /** Ids by the roles that the files name: `bos_token`, `eos_token`, ... */
  readonly special: ReadonlyMap<string, string>;

  /** @internal */
  constructor(where: string, { json, config, size, special }: Built) {
    try {
      this.#inner = new Tokenizer(json, config);
    } catch (error) {
      throw new FormatError(`${where}: ${messageOf(error)}; expected a tokenizer that is known`, {
        cause: error,
      });
    }
    this.size = size;
    this.special = special;
    // The library keeps what it was made of; of these parts it has its own form.
    json.model.vocab = {};
    json.model.merges.length = 0;
  }

  /**
   * From the files of a Hugging Face folder.
   * @param tokenizer - the text of `tokenizer.json`
   * @param config - that of `tokenizer_config.json`, which names special tokens
   * @throws FormatError for what they do not hold; TypeError
   */
  static fromJson(tokenizer: string, config?: string | null): TextTokenizer {
    const where = 'TextTokenizer.fromJson';
    return new TextTokenizer(`${where}: tokenizer.json`, builtFromJson(where, tokenizer, config ?? null));
  }

  /**
   * From the metadata of a GGUF file.
   * @param metadata - as `openGguf` gives it
   * @throws FormatError for a kind that is not rebuilt, which asks for `tokenizer.json`; TypeError
   */
  static fromGguf(metadata: ReadonlyMap<string, unknown>): TextTokenizer {
    return TextTokenizer.ofHeader('TextTokenizer.fromGguf', metadata);
  }

  /** @internal The same for a function of another name. */
  static ofHeader(where: string, metadata: ReadonlyMap<string, unknown>): TextTokenizer {
    if (!isMap(metadata))
      throw new TypeError(
        `${where}: metadata is ${describe(metadata)}, expected the Map that openGguf gives`,
      );
    return new TextTokenizer(where, jsonOfGguf(where, metadata));
  }

  /**
   * The ids of a text. Special tokens that are written in it become theirs.
   * @throws TypeError
   */
  encode(text: string, options: EncodeOptions = {}): number[] {
    const where = 'TextTokenizer.encode';
    if (typeof text !== 'string')
      throw new TypeError(`${where}: text is ${describe(text)}, expected a string`);
    checkOptions(where, options, ['addSpecialTokens']);
    const { addSpecialTokens = true } = options;
    checkBoolean(`${where}: addSpecialTokens`, addSpecialTokens);
    return this.#inner.encode(text, { add_special_tokens: addSpecialTokens }).ids;
  }

  /**
   * The text of ids; bytes that are no UTF-8 become U+FFFD.
   * @throws TypeError, RangeError for an id that is none
   */
  decode(ids: ArrayLike<number>, options: DecodeOptions = {}): string {
    const where = 'TextTokenizer.decode';
    checkOptions(where, options, ['skipSpecialTokens']);
    const { skipSpecialTokens = false } = options;
    checkBoolean(`${where}: skipSpecialTokens`, skipSpecialTokens);
    const own = Array.from(ids);
    for (const id of own) {
      if (typeof id !== 'number') throw new TypeError(`${where}: id is ${describe(id)}, expected a number`);
      if (!Number.isInteger(id) || id < 0 || id >= this.size)
        throw new RangeError(`${where}: id is ${id}, expected 0 to ${this.size - 1}`);
    }
    // A hole in the vocabulary has no text.
    const known = own.filter((id) => this.#inner.id_to_token(id) !== undefined);
    return known.length === 0 ? '' : this.#inner.decode(known, { skip_special_tokens: skipSpecialTokens });
  }

  /** The id of a token by its name in the vocabulary; null for one that is not there. @throws TypeError */
  idOf(token: string): number | null {
    if (typeof token !== 'string')
      throw new TypeError(`TextTokenizer.idOf: token is ${describe(token)}, expected a string`);
    return this.#inner.token_to_id(token) ?? null;
  }

  /** The name of a token in the vocabulary; null for an id without one. @throws TypeError */
  tokenOf(id: number): string | null {
    if (typeof id !== 'number')
      throw new TypeError(`TextTokenizer.tokenOf: id is ${describe(id)}, expected a number`);
    return this.#inner.id_to_token(id) ?? null;
  }
}
