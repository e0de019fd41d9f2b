/**
 * Patterns of module names, which may come from a file that somebody else wrote: matched in linear time (RE2), with Python's
 * `(?P<name>...)` and `(?i)`. What RE2 has not (looking around, back-references, possessive repeats) is refused by name.
 */

import { FormatError } from '../values/format-error.js';
import { type CompiledPattern, RE2JS } from '../vendor/re2js.js';

/** Longest pattern that is read. */
export const PATTERN_LIMIT = 512;
const NAME_LIMIT = 1024;

/** A pattern that is held against whole names: Python's `re.fullmatch`. */
export interface NamePattern {
  matches(name: string): boolean;
}

/** A pattern that is held against the beginning of names: Python's `re.match`. */
export interface OpeningPattern {
  /** Null where the name does not begin so; else what the group `index` matched, null where it took no part. */
  opens(name: string): { readonly index: string | null } | null;
}

/** What stands before and behind a pattern, as regular expressions. */
export interface Around {
  readonly before: string;
  readonly after: string;
}

/** @throws FormatError when the pattern is too long, or none that can be matched in linear time */
export function compilePattern(where: string, pattern: string, before = ''): NamePattern {
  checkLength(where, pattern);
  const compiled =
    before === ''
      ? compile(where, pattern, pattern)
      : compileWithin(where, pattern, `${before}(?:${pattern})`);
  return { matches: (name) => compiled.matcher(checkName(where, name)).matches() };
}

/**
 * A pattern that PEFT puts between others as text, without a group around it: a `|` in it divides the whole.
 * @throws FormatError
 */
export function compileOpening(where: string, pattern: string, { before, after }: Around): OpeningPattern {
  checkLength(where, pattern);
  const compiled = compileWithin(where, pattern, before + pattern + after);
  const hasIndex = Object.hasOwn(compiled.namedGroups(), 'index');
  return {
    opens: (name) => {
      const matcher = compiled.matcher(checkName(where, name));
      if (!matcher.lookingAt()) return null;
      return { index: hasIndex ? matcher.group('index') : null };
    },
  };
}

function checkLength(where: string, pattern: string): void {
  if (pattern.length > PATTERN_LIMIT)
    throw new FormatError(
      `${where}: the pattern has ${pattern.length} characters, expected at most ${PATTERN_LIMIT}`,
    );
}

function checkName(where: string, name: string): string {
  if (name.length > NAME_LIMIT)
    throw new FormatError(
      `${where}: a module name has ${name.length} characters, expected at most ${NAME_LIMIT}`,
    );
  return name;
}

function compile(where: string, pattern: string, source: string): CompiledPattern {
  try {
    return RE2JS.compile(source);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new FormatError(
      `${where}: '${pattern}' is no regular expression of the RE2 kind (${why}), expected one without looking around, back-references and possessive repeats`,
      { cause },
    );
  }
}

/** Compiles `source`, which holds `pattern`. */
function compileWithin(where: string, pattern: string, source: string): CompiledPattern {
  // Alone first where it has brackets or escapes, so that one of its own cannot close what stands around it.
  if (/[()[\]\\]/.test(pattern)) compile(where, pattern, pattern);
  return compile(where, pattern, source);
}
