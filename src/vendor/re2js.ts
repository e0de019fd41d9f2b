/**
 * Regular expressions in linear time. The build puts the engine into this file, of it what is declared here and no more;
 * `patterns/pattern.ts` calls it.
 */
import { RE2JS as Whole } from 're2js';

export interface CompiledPattern {
  matcher(text: string): {
    /** Whether the whole text matches. */
    matches(): boolean;
    /** Whether the text begins so. */
    lookingAt(): boolean;
    /** What a group of the match took; null where it took no part. */
    group(group: string | number): string | null;
  };
  /** The groups' numbers by their names. */
  namedGroups(): Record<string, number>;
}

/** `compile` throws where the pattern is none. */
export const RE2JS: { compile(pattern: string): CompiledPattern } = Whole;
