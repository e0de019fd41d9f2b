/**
 * Keys of `rank_pattern` and `alpha_pattern` that need no regular expression: text, the dot that stands for any character,
 * escaped signs and a leading `^`. They are nearly all keys that programs write, one for every layer, and compiling thousands
 * takes seconds. Used by peft-patterns.ts.
 */
import type { NamePattern } from './pattern.js';

/** What a key is made of. */
interface PlainKey {
  /** Whether it begins with `^`: it matches whole names alone. */
  readonly anchored: boolean;
  /** Its characters in order; null for any one character. */
  readonly characters: readonly (string | null)[];
}

/** `(?:.*\.)?(?:KEY)` held against whole names, or null for a key that is more than plain text. */
export function plainPattern(key: string): NamePattern | null {
  const parsed = parse(key);
  return parsed === null ? null : { matches: (name) => matches(parsed, name) };
}

const SPECIAL = /[\\^$.*+?()[\]{}|]/;

function parse(key: string): PlainKey | null {
  const units = [...key];
  const anchored = units[0] === '^';
  const characters: (string | null)[] = [];
  for (let i = anchored ? 1 : 0; i < units.length; i++) {
    const unit = units[i]!;
    const escaped = units[i + 1];
    if (unit === '.') characters.push(null);
    else if (!SPECIAL.test(unit)) characters.push(unit);
    else if (unit !== '\\' || escaped === undefined || !SPECIAL.test(escaped)) return null;
    else {
      characters.push(escaped);
      i++;
    }
  }
  return characters.length === 0 ? null : { anchored, characters };
}

function matches({ anchored, characters }: PlainKey, name: string): boolean {
  // By code points where a character takes two units; a dot is no line break.
  const units: ArrayLike<string> = /[\ud800-\udfff]/.test(name) ? [...name] : name;
  const from = units.length - characters.length;
  if (from < 0 || (anchored ? from > 0 : from > 0 && units[from - 1] !== '.')) return false;
  for (let i = 0; i < from; i++) if (units[i] === '\n') return false;
  return characters.every((character, i) => {
    const unit = units[from + i];
    return character === null ? unit !== '\n' : unit === character;
  });
}
