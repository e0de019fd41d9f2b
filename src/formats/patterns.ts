/**
 * Patterns of module names, which may come from a file that somebody else wrote: matched in linear time (RE2), with Python's
 * `(?P<name>...)` and `(?i)`. What RE2 has not (looking around, back-references, possessive repeats) is refused by name.
 */

import { RE2JS } from '../vendor/re2js.js';
import { FormatError } from './errors.js';

const PATTERN_LIMIT = 512;
const NAME_LIMIT = 1024;

/** A pattern that is held against whole names. */
export interface NamePattern {
  matches(name: string): boolean;
  /** What the last group matched, or null where the name does not match. */
  lastGroup(name: string): string | null;
}

/** What stands before and behind a pattern, as regular expressions. */
export interface Around {
  readonly before: string;
  readonly after: string;
}

/** @throws FormatError when the pattern is too long, or none that can be matched in linear time */
export function compilePattern(
  where: string,
  pattern: string,
  around: Around = { before: '', after: '' },
): NamePattern {
  if (pattern.length > PATTERN_LIMIT) {
    throw new FormatError(
      `${where}: the pattern has ${pattern.length} characters, expected at most ${PATTERN_LIMIT}`,
    );
  }
  const compiled = compile(where, pattern, `${around.before}(?:${pattern})${around.after}`);
  const matched = (name: string) => {
    if (name.length > NAME_LIMIT)
      throw new FormatError(
        `${where}: a module name has ${name.length} characters, expected at most ${NAME_LIMIT}`,
      );
    const matcher = compiled.matcher(name);
    return matcher.matches() ? matcher : null;
  };
  return {
    matches: (name) => matched(name) !== null,
    lastGroup: (name) => {
      const found = matched(name);
      return found === null ? null : (found.group(found.groupCount()) ?? null);
    },
  };
}

function compile(where: string, pattern: string, source: string): RE2JS {
  try {
    // Alone first, so that a bracket of its own cannot close the group around it.
    RE2JS.compile(pattern);
    return RE2JS.compile(source);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new FormatError(
      `${where}: '${pattern}' is no regular expression of the RE2 kind (${why}), expected one without looking around, back-references and possessive repeats`,
      { cause },
    );
  }
}
