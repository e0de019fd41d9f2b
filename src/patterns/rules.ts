/** PEFT's rank and alpha of a layer: the first key of a pattern that matches the layer's path from a dot on. */

import type { PeftConfig } from '../formats/peft-config.js';
import { describe } from '../values/checks.js';
import { isMap } from '../values/kind.js';
import { compilePattern, type NamePattern, PATTERN_LIMIT } from './pattern.js';
import { plainPattern } from './plain-pattern.js';

/** A layer's rank, alpha and scale by its path. @throws FormatError for a key that is no regular expression, or too long */
export function layerReader(
  where: string,
  config: PeftConfig,
): (path: string) => { r: number; alpha: number; scale: number } {
  const ranks = new PatternValues(`${where}: rank_pattern`, config.rankPattern);
  const alphas = new PatternValues(`${where}: alpha_pattern`, config.alphaPattern);
  return (path) => {
    const r = ranks.valueOf(path) ?? config.r;
    const alpha = alphas.valueOf(path) ?? config.loraAlpha;
    return { r, alpha, scale: alpha / (config.useRslora ? Math.sqrt(r) : r) };
  };
}

interface Key {
  readonly key: string;
  readonly value: number;
  readonly pattern: NamePattern;
}

/** A pattern of ranks or alphas, compiled: the value of the first key that matches from a dot on, as PEFT reads them. */
export class PatternValues {
  readonly #keys: readonly Key[];
  readonly #first = new Map<string, Key | null>();

  /** @throws FormatError when a key is no regular expression; TypeError for what is no Map of numbers, as a config of the caller's may have it */
  constructor(where: string, patterns: ReadonlyMap<string, number>) {
    if (!isMap(patterns))
      throw new TypeError(`${where} is ${describe(patterns)}, expected a Map from names to numbers`);
    for (const [key, value] of patterns)
      if (typeof key !== 'string' || typeof value !== 'number')
        throw new TypeError(
          `${where} has ${describe(value)} for ${describe(key)}, expected a number for a name`,
        );
    this.#keys = [...patterns].map(([key, value]) => ({ key, value, pattern: keyPattern(where, key) }));
  }

  valueOf(name: string): number | null {
    return this.#firstOf(name)?.value ?? null;
  }

  /** Keys that match none of `names`. */
  unmatched(names: readonly string[]): string[] {
    const first = new Set(names.map((name) => this.#firstOf(name)));
    return this.#keys
      .filter((key) => !first.has(key) && !names.some((name) => key.pattern.matches(name)))
      .map(({ key }) => key);
  }

  /** Keys that give none of `names` its value though they match a module: an earlier key does, or the module is not adapted. */
  unused(names: readonly string[]): string[] {
    const used = new Set(names.map((name) => this.#firstOf(name)));
    return this.#keys.filter((key) => !used.has(key)).map(({ key }) => key);
  }

  #firstOf(name: string): Key | null {
    let first = this.#first.get(name);
    if (first === undefined) {
      first = this.#keys.find(({ pattern }) => pattern.matches(name)) ?? null;
      this.#first.set(name, first);
    }
    return first;
  }
}

/** Files with a key for every layer are common: those that are plain text are compared as text, and whole names may be long. */
function keyPattern(where: string, key: string): NamePattern {
  const plain = key.length <= PATTERN_LIMIT || key.startsWith('^') ? plainPattern(key) : null;
  return plain ?? compilePattern(where, key, '(?:.*\\.)?');
}

/** A key that matches this path alone. */
export function exactKey(path: string): string {
  return `^${escaped(path)}`;
}

/** Text as a pattern that matches it alone. */
export function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
