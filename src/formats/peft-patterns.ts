/** PEFT's rank and alpha of a layer: the first key of a pattern that matches the layer's path from a dot on. */
import { compilePattern, type NamePattern } from './patterns.js';
import type { PeftConfig } from './peft-config.js';

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

/** A pattern of ranks or alphas, compiled: the value of the first key that matches from a dot on, as PEFT reads them. */
export class PatternValues {
  readonly #keys: readonly { readonly key: string; readonly value: number; readonly pattern: NamePattern }[];

  /** @throws FormatError when a key is no regular expression */
  constructor(where: string, patterns: ReadonlyMap<string, number>) {
    this.#keys = [...patterns].map(([key, value]) => ({
      ...{ key, value },
      pattern: compilePattern(where, key, { before: '(?:.*\\.)?', after: '' }),
    }));
  }

  valueOf(name: string): number | null {
    return this.#keys.find(({ pattern }) => pattern.matches(name))?.value ?? null;
  }

  /** Keys that match none of `names`. */
  unmatched(names: readonly string[]): string[] {
    return this.#keys
      .filter(({ pattern }) => !names.some((name) => pattern.matches(name)))
      .map(({ key }) => key);
  }

  /** Keys that give none of `names` its value though they match a module: an earlier key does, or the module is not adapted. */
  unused(names: readonly string[]): string[] {
    const used = new Set(names.map((name) => this.#keys.find(({ pattern }) => pattern.matches(name))?.key));
    return this.#keys.filter(({ key }) => !used.has(key)).map(({ key }) => key);
  }
}

/** A key that matches this path alone. */
export function exactKey(path: string): string {
  return `^${path.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')}`;
}
