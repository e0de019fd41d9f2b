/** The fields of a JSON config by the kind that each has, with a default where it is missing. Used by the reader of PEFT's config. */

import { FormatError } from '../values/format-error.js';
import { type Json, JsonNumber } from './json.js';
import { isFiniteFloat } from './strength.js';

/** Every method reads one field. @throws FormatError for a value of another kind */
export class ConfigFields {
  readonly #where: string;
  readonly #root: ReadonlyMap<string, Json>;

  /** @param where - the file, which errors begin with */
  constructor(where: string, root: ReadonlyMap<string, Json>) {
    this.#where = where;
    this.#root = root;
  }

  integer(field: string, fallback: number): number {
    const value = this.#root.get(field);
    return value === undefined ? fallback : (integerOf(value) ?? this.#wrong(field, 'an integer'));
  }

  number(field: string, fallback: number): number {
    const value = this.#root.get(field);
    return value === undefined ? fallback : (finiteOf(value) ?? this.#wrong(field, 'a finite number'));
  }

  boolean(field: string): boolean {
    const value = this.#root.get(field) ?? false;
    return typeof value === 'boolean' ? value : this.#wrong(field, 'a boolean');
  }

  list(field: string): string[] | null {
    const value = this.#root.get(field) ?? null;
    if (value === null) return null;
    const expected = 'an array of strings';
    if (!Array.isArray(value)) return this.#wrong(field, expected);
    return value.map((entry) => (typeof entry === 'string' ? entry : this.#wrong(field, expected)));
  }

  names(field: string): string[] | string | null {
    const value = this.#root.get(field);
    return typeof value === 'string' ? value : this.list(field);
  }

  layers(field: string): number[] | number | null {
    const value = this.#root.get(field) ?? null;
    if (value === null) return null;
    if (!Array.isArray(value)) return this.integer(field, 0);
    return value.map((entry) => integerOf(entry) ?? this.#wrong(field, 'integers'));
  }

  ranks(field: string): Map<string, number> {
    const rankOf = (value: Json): number | null => {
      const r = integerOf(value);
      return r !== null && r > 0 ? r : null;
    };
    return this.#pattern(field, rankOf, 'integers from 1 up');
  }

  alphas(field: string): Map<string, number> {
    return this.#pattern(field, finiteOf, 'finite numbers');
  }

  #pattern(field: string, numberOf: (value: Json) => number | null, expected: string): Map<string, number> {
    const value = this.#root.get(field) ?? null;
    if (value === null) return new Map();
    if (!(value instanceof Map)) return this.#wrong(field, `an object of ${expected}`);
    return new Map(
      [...value].map(([key, entry]) => {
        const n = numberOf(entry);
        if (n === null)
          throw new FormatError(`${this.#where}: ${field} '${key}' is ${show(entry)}, expected ${expected}`);
        return [key, n];
      }),
    );
  }

  #wrong(field: string, expected: string): never {
    throw new FormatError(`${this.#where}: ${field} is ${show(this.#root.get(field))}, expected ${expected}`);
  }
}

function integerOf(value: Json): number | null {
  return value instanceof JsonNumber ? value.integer : null;
}

function finiteOf(value: Json): number | null {
  return value instanceof JsonNumber && isFiniteFloat(value.value) ? value.value : null;
}

/** A value in the words of an error message. */
export function show(value: Json | undefined): string {
  if (value instanceof JsonNumber) return value.text;
  if (value instanceof Map) return 'an object';
  return value === undefined ? 'missing' : JSON.stringify(value);
}
