/** Files of JSON, and fields of a file's configuration, checked as they are read. Called by whoever reads a model's files. */
import { messageOf } from '../../platform/index.js';
import { describe } from '../../values/checks.js';
import { FormatError } from '../../values/format-error.js';
import { isPlainObject } from '../../values/kind.js';

/** The root of a JSON text. @throws FormatError */
export function objectOf(where: string, text: string): Record<string, unknown> {
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch (cause) {
    throw new FormatError(`${where}: is no JSON (${messageOf(cause)})`, {
      cause,
    });
  }
  if (!isPlainObject(root)) throw new FormatError(`${where}: is no object, expected one`);
  return { ...(root as object) };
}

/** Reads fields of one object by name. */
export interface Fields {
  /** The field as it stands; undefined where it is missing or null. */
  raw(name: string): unknown;
  /** Whether the field stands there, be it null. */
  has(name: string): boolean;
  /** A whole number from 1 up to `most`, by default 2^31 - 1. @throws FormatError */
  count(name: string, fallback?: number, most?: number): number;
  /** A finite number above 0. @throws FormatError */
  positive(name: string, fallback?: number): number;
  /** @throws FormatError */
  flag(name: string, fallback: boolean): boolean;
}

const shown = (value: unknown): string =>
  value === undefined || value === null ? 'missing' : describe(value);

/** @param get - the value of a field, undefined or null where there is none @param prefix - in front of a name, in messages */
export function fieldsOf(where: string, get: (name: string) => unknown, prefix = ''): Fields {
  const raw = (name: string): unknown => get(name) ?? undefined;
  const number = (
    name: string,
    fallback: number | undefined,
    fits: (n: number) => boolean,
    words: string,
  ) => {
    const value = raw(name) ?? fallback;
    if (typeof value !== 'number' || !fits(value))
      throw new FormatError(`${where}: ${prefix}${name} is ${shown(value)}, expected ${words}`);
    return value;
  };
  return {
    raw,
    has: (name) => get(name) !== undefined,
    count: (name, fallback, most = 2 ** 31 - 1) =>
      number(
        name,
        fallback,
        (n) => Number.isSafeInteger(n) && n >= 1 && n <= most,
        `an integer from 1 to ${most}`,
      ),
    positive: (name, fallback) =>
      number(name, fallback, (n) => Number.isFinite(n) && n > 0, 'a number above 0'),
    flag(name, fallback) {
      const value = raw(name) ?? fallback;
      if (typeof value !== 'boolean')
        throw new FormatError(`${where}: ${prefix}${name} is ${shown(value)}, expected true or false`);
      return value;
    },
  };
}

/** @throws FormatError: a field that this package does not understand stands in the file */
export function refuseField(where: string, name: string, value: unknown, expected: string): never {
  throw new FormatError(`${where}: ${name} is ${shown(value)}, which is not supported; expected ${expected}`);
}
