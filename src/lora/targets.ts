/** Which modules an adapter targets: PEFT's rules for lists of names or suffixes and for whole-name patterns. */
import { AdapterError } from './errors.js';

const PATTERN_LIMIT = 512;

/** True where `name` is `entry` or ends with a dot and `entry`. */
export function matchesSuffix(name: string, entry: string): boolean {
  return name === entry || name.endsWith(`.${entry}`);
}

/** A pattern that must match a whole name. @throws AdapterError when the pattern is no regular expression, or too long */
export function wholeNamePattern(where: string, pattern: string): RegExp {
  if (pattern.length > PATTERN_LIMIT) {
    throw new AdapterError(
      `${where}: the pattern has ${pattern.length} characters, expected at most ${PATTERN_LIMIT}`,
    );
  }
  try {
    return new RegExp(`^(?:${pattern})$`);
  } catch (cause) {
    throw new AdapterError(`${where}: '${pattern}' is not a regular expression that JavaScript can read`, {
      cause,
    });
  }
}

/**
 * The names that `targets` selects, in the order of `names`.
 * @throws AdapterError naming a target that matches nothing, and the names there are
 */
export function selectTargets(
  where: string,
  names: readonly string[],
  targets: readonly string[] | string,
): string[] {
  const known = `the model has ${names.join(', ') || 'none'}`;
  if (typeof targets === 'string') {
    const pattern = wholeNamePattern(`${where}: targetModules`, targets);
    const selected = names.filter((name) => pattern.test(name));
    if (selected.length === 0)
      throw new AdapterError(
        `${where}: pattern '${targets}' matches no layer, expected one that does; ${known}`,
      );
    return selected;
  }
  for (const target of targets) {
    if (!names.some((name) => matchesSuffix(name, target))) {
      throw new AdapterError(
        `${where}: target '${target}' matches no layer, expected a name or suffix; ${known}`,
      );
    }
  }
  return names.filter((name) => targets.some((target) => matchesSuffix(name, target)));
}
