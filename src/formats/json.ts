/**
 * A strict JSON reader for what comes from elsewhere. Objects become Maps in the order of the text (no key is special),
 * a key that appears twice is refused, and numbers keep their text, so that `1.0` and `1e0` can be told from `1`.
 */
import { FormatError } from './errors.js';

/** A number as it is written. */
export class JsonNumber {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  get value(): number {
    return Number(this.text);
  }

  /** The value of an integer written without fraction, exponent or minus zero; else null. Exact up to 2^53 - 1. */
  get integer(): number | null {
    return /^(?:0|-?[1-9]\d*)$/.test(this.text) && Number.isSafeInteger(this.value) ? this.value : null;
  }
}

export type Json = null | boolean | string | JsonNumber | Json[] | Map<string, Json>;

/** How deep objects and arrays may nest. */
const MAX_DEPTH = 64;

/** UTF-8 bytes to text; a byte order mark or an invalid sequence is an error. @throws FormatError */
export function decodeUtf8(where: string, bytes: Uint8Array): string {
  try {
    const own = bytes.buffer instanceof ArrayBuffer ? bytes : Uint8Array.from(bytes);
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(own);
  } catch (cause) {
    throw new FormatError(`${where}: the text is not valid UTF-8`, { cause });
  }
}

/**
 * @param lastWinsIn - a key of the root whose object, of strings, may hold a key twice: the last counts
 * @throws FormatError with the position
 */
export function parseJson(where: string, text: string, lastWinsIn?: string): Json {
  let at = 0;
  const fail = (expected: string): never => {
    const got = at < text.length ? JSON.stringify(text[at]) : 'the end';
    throw new FormatError(`${where}: character ${at} is ${got}, expected ${expected}`);
  };
  const skip = (): void => {
    while (at < text.length && ' \t\r\n'.includes(text[at]!)) at++;
  };
  const string = (): string => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids exactly these in strings.
    const rest = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
    rest.lastIndex = at;
    const found = rest.exec(text);
    if (found === null) return fail('a string');
    at = rest.lastIndex;
    const value = JSON.parse(found[0]) as string;
    if (!value.isWellFormed())
      throw new FormatError(
        `${where}: a string before character ${at} has a lone surrogate, expected whole characters`,
      );
    return value;
  };
  const value = (depth: number, lastWins = false): Json => {
    if (depth > MAX_DEPTH) return fail(`at most ${MAX_DEPTH} levels`);
    skip();
    const char = text[at];
    if (char === '"') return string();
    if (char === '{') {
      const map = new Map<string, Json>();
      at++;
      skip();
      if (text[at] === '}') at++;
      else {
        for (;;) {
          skip();
          const key = string();
          if (map.has(key) && !(lastWins && typeof map.get(key) === 'string'))
            throw new FormatError(`${where}: key ${JSON.stringify(key)} appears twice, expected it once`);
          skip();
          if (text[at] !== ':') fail("':'");
          at++;
          map.set(key, value(depth + 1, depth === 0 && key === lastWinsIn));
          skip();
          if (text[at] === '}') break;
          if (text[at] !== ',') fail("',' or '}'");
          at++;
        }
        at++;
      }
      return map;
    }
    if (char === '[') {
      const list: Json[] = [];
      at++;
      skip();
      if (text[at] === ']') at++;
      else {
        for (;;) {
          list.push(value(depth + 1));
          skip();
          if (text[at] === ']') break;
          if (text[at] !== ',') fail("',' or ']'");
          at++;
        }
        at++;
      }
      return list;
    }
    const token = /(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)/y;
    token.lastIndex = at;
    const found = token.exec(text);
    if (found === null) return fail('a value');
    at = token.lastIndex;
    if (found[0] === 'null') return null;
    if (found[0] === 'true' || found[0] === 'false') return found[0] === 'true';
    return new JsonNumber(found[0]);
  };
  const result = value(0);
  skip();
  if (at < text.length) fail('nothing more');
  return result;
}
