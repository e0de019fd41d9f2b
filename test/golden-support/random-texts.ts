/** The random strings of `make_tokenizers_golden.py`, and its hash of a string's ids. */
import { readFileSync } from 'node:fs';

/** What `test/golden/tokenizers.json` holds. */
export interface TokenizerGolden {
  readonly ranges: readonly (readonly [low: number, high: number])[];
  readonly pieces: readonly string[];
  readonly tokens: readonly string[];
  readonly merges: readonly string[];
  /** Hashes of the strings' ids, with spaces between, by the name of the cut. */
  readonly hashes: Readonly<Record<string, string>>;
  /** The same over SmolLM2's vocabulary. */
  readonly smollm2: string;
}

export const TOKENIZERS: TokenizerGolden = JSON.parse(
  readFileSync(new URL('../golden/tokenizers.json', import.meta.url), 'utf8'),
);

const COUNT = 2000;

function drawer(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 16) % n;
  };
}

export function randomTexts(): string[] {
  const { ranges, pieces } = TOKENIZERS;
  const below = drawer(7);
  return Array.from({ length: COUNT }, () =>
    Array.from({ length: 1 + below(24) }, () => {
      if (below(3) < 2) return pieces[below(pieces.length)];
      const [low, high] = ranges[below(ranges.length)]!;
      return String.fromCodePoint(low + below(high - low + 1));
    }).join(''),
  );
}

/** FNV-1a over the ids as 32-bit words. */
export function hashOf(ids: readonly number[]): string {
  let hash = 0x811c9dc5;
  for (const id of ids)
    for (let byte = 0; byte < 4; byte++)
      hash = Math.imul(hash ^ ((id >>> (8 * byte)) & 0xff), 0x01000193) >>> 0;
  return hash.toString(16).padStart(8, '0');
}

/** The strings whose ids have another hash. */
export function differing(encode: (text: string) => readonly number[], hashes: string): string[] {
  const expected = hashes.split(' ');
  return randomTexts().filter((text, i) => hashOf(encode(text)) !== expected[i]);
}
