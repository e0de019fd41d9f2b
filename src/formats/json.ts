/**
 * A strict JSON reader for what comes from elsewhere. Objects become Maps in the order of the text (no key is special),
 * a key that appears twice is refused, and numbers keep their text, so that `1.0` and `1e0` can be told from `1`.
 */
import { FormatError } from '../values/format-error.js';

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

/** A value of JSON, whose numbers keep how they were written. */
export type Json = null | boolean | string | JsonNumber | Json[] | Map<string, Json>;

/** A value in the words of an error message. */
export function showJson(value: Json | undefined): string {
  if (value instanceof JsonNumber) return value.text;
  if (value instanceof Map) return 'an object';
  if (Array.isArray(value)) return 'an array';
  return value === undefined ? 'missing' : JSON.stringify(value);
}

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
  const { fail, next, step, match, string } = scanner(where, text);
  const short = new Map<string, JsonNumber>();
  /** Short numbers, of which a text may have millions, are one object each. */
  const numberOf = (token: string): JsonNumber => {
    const known = short.get(token);
    if (known !== undefined) return known;
    const made = new JsonNumber(token);
    if (token.length <= 3) short.set(token, made);
    return made;
  };
  const entries = (close: string, entry: () => void): void => {
    step();
    if (next() !== close) {
      for (;;) {
        entry();
        const char = next();
        if (char === close) break;
        if (char !== ',') fail(`',' or '${close}'`);
        step();
      }
    }
    step();
  };
  const object = (depth: number, lastWins: boolean): Map<string, Json> => {
    const map = new Map<string, Json>();
    entries('}', () => {
      next();
      const key = string();
      if (map.has(key) && !(lastWins && typeof map.get(key) === 'string'))
        throw new FormatError(`${where}: key ${JSON.stringify(key)} appears twice, expected it once`);
      if (next() !== ':') fail("':'");
      step();
      map.set(key, value(depth + 1, depth === 0 && key === lastWinsIn));
    });
    return map;
  };
  const value = (depth: number, lastWins = false): Json => {
    if (depth > MAX_DEPTH) return fail(`at most ${MAX_DEPTH} levels`);
    const char = next();
    if (char === '"') return string();
    if (char === '{') return object(depth, lastWins);
    if (char === '[') {
      const list: Json[] = [];
      entries(']', () => list.push(value(depth + 1)));
      return list;
    }
    const token = match(/(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)/y, 'a value');
    if (token === 'null') return null;
    if (token === 'true' || token === 'false') return token === 'true';
    return numberOf(token);
  };
  const result = value(0);
  if (next() !== undefined) fail('nothing more');
  return result;
}

/** A place in the text, and what can be read from there. */
function scanner(where: string, text: string) {
  let at = 0;
  const fail = (expected: string): never => {
    const got = at < text.length ? JSON.stringify(text[at]) : 'the end';
    throw new FormatError(`${where}: character ${at} is ${got}, expected ${expected}`);
  };
  /** Passes white space over; the character behind it, undefined at the end. */
  const next = (): string | undefined => {
    while (at < text.length && ' \t\r\n'.includes(text[at]!)) at++;
    return text[at];
  };
  const step = (): void => {
    at++;
  };
  /** @param pattern - a sticky one */
  const match = (pattern: RegExp, expected: string): string => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found === null) return fail(expected);
    at = pattern.lastIndex;
    return found[0];
  };
  const string = (): string => {
    if (text[at] !== '"') return fail('a string');
    let end = at;
    // By the quotes, since a pattern over a string of megabytes overflows the stack.
    do {
      end = text.indexOf('"', end + 1);
      if (end < 0) return fail('a string that ends');
    } while (backslashes(text, end) % 2 === 1);
    const value = unquoted(text.slice(at, end + 1));
    if (value === null) return fail('a string without control characters and unknown escapes');
    at = end + 1;
    if (!value.isWellFormed())
      throw new FormatError(
        `${where}: a string before character ${at} has a lone surrogate, expected whole characters`,
      );
    return value;
  };
  return { fail, next, step, match, string };
}

/** How many backslashes stand right before a place. */
function backslashes(text: string, place: number): number {
  let first = place;
  while (text[first - 1] === '\\') first--;
  return place - first;
}

/** A quoted string's value; null where JSON allows no such string. */
function unquoted(quoted: string): string | null {
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return null;
  }
}
