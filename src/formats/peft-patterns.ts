/** PEFT's rank and alpha of a layer: the first key of a pattern that matches the layer's path from a dot on. */
import { FormatError } from './errors.js';
import type { PeftConfig } from './peft-config.js';

const LENGTH_LIMIT = 512;

/** A layer's rank, alpha and scale by its path. @throws FormatError for a key that is no regular expression, or too long */
export function layerReader(
  where: string,
  config: PeftConfig,
): (path: string) => { r: number; alpha: number; scale: number } {
  const rankOf = firstMatch(`${where}: rank_pattern`, config.rankPattern);
  const alphaOf = firstMatch(`${where}: alpha_pattern`, config.alphaPattern);
  return (path) => {
    const r = rankOf(path) ?? config.r;
    const alpha = alphaOf(path) ?? config.loraAlpha;
    return { r, alpha, scale: alpha / (config.useRslora ? Math.sqrt(r) : r) };
  };
}

function firstMatch(where: string, patterns: ReadonlyMap<string, number>): (path: string) => number | null {
  const compiled = [...patterns].map(([key, value]) => {
    if (key.length > LENGTH_LIMIT)
      throw new FormatError(`${where}: a key has ${key.length} characters, expected ${LENGTH_LIMIT} at most`);
    try {
      return { test: new RegExp(`^(?:.*\\.)?(?:${key})$`), value };
    } catch (cause) {
      throw new FormatError(`${where}: '${key}' is not a regular expression that JavaScript can read`, {
        cause,
      });
    }
  });
  return (path) => {
    if (compiled.length > 0 && path.length > LENGTH_LIMIT)
      throw new FormatError(`${where}: '${path}' is too long to match, expected ${LENGTH_LIMIT} characters`);
    return compiled.find(({ test }) => test.test(path))?.value ?? null;
  };
}

/** A key that matches this path alone. */
export function exactKey(path: string): string {
  return `^${path.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')}`;
}
