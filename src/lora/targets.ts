/**
 * Which modules an adapter targets, and with which rank and alpha: PEFT's rules for names, suffixes, whole-name patterns,
 * exclusions, layer numbers, and the first matching key of a pattern.
 */
import { AdapterError } from './errors.js';

const PATTERN_LIMIT = 512;

/** What selects the modules; see PEFT's fields of these names. */
export interface Selection {
  readonly targetModules: readonly string[] | string;
  readonly excludeModules: readonly string[] | string | null;
  readonly layersToTransform: readonly number[] | number | null;
  readonly layersPattern: readonly string[] | string | null;
}

/** True where `name` is `entry` or ends with a dot and `entry`. */
export function matchesSuffix(name: string, entry: string): boolean {
  return name === entry || name.endsWith(`.${entry}`);
}

function compile(where: string, pattern: string, source: string): RegExp {
  if (pattern.length > PATTERN_LIMIT) {
    throw new AdapterError(
      `${where}: the pattern has ${pattern.length} characters, expected at most ${PATTERN_LIMIT}`,
    );
  }
  try {
    return new RegExp(source);
  } catch (cause) {
    throw new AdapterError(`${where}: '${pattern}' is not a regular expression that JavaScript can read`, {
      cause,
    });
  }
}

/** A pattern that must match a whole name. @throws AdapterError when the pattern is no regular expression, or too long */
export function wholeNamePattern(where: string, pattern: string): RegExp {
  return compile(where, pattern, `^(?:${pattern})$`);
}

/**
 * The names that `selection` selects, in the order of `names`.
 * @throws AdapterError naming a target or an exclusion that matches nothing, and the names there are
 */
export function selectTargets(where: string, names: readonly string[], selection: Selection): string[] {
  const { targetModules: targets } = selection;
  const known = `the model has ${names.join(', ') || 'none'}`;
  const excluded = exclusion(where, names, selection.excludeModules, known);
  const numbered = layerFilter(where, selection);
  let selected: string[];
  if (typeof targets === 'string') {
    const all = targets.toLowerCase() === 'all-linear';
    const pattern = all ? /^/ : wholeNamePattern(`${where}: targetModules`, targets);
    selected = names.filter((name) => pattern.test(name));
    if (selected.length === 0) {
      throw new AdapterError(
        `${where}: pattern '${targets}' matches no layer, expected one that does; ${known}`,
      );
    }
  } else {
    for (const target of targets) {
      if (!names.some((name) => matchesSuffix(name, target))) {
        throw new AdapterError(
          `${where}: target '${target}' matches no layer, expected a name or suffix; ${known}`,
        );
      }
    }
    // A name given in full is adapted whatever its number; PEFT filters suffixes alone.
    selected = names.filter(
      (name) =>
        targets.includes(name) || (targets.some((target) => matchesSuffix(name, target)) && numbered(name)),
    );
  }
  const left = selected.filter((name) => !excluded(name));
  if (left.length === 0)
    throw new AdapterError(
      `${where}: exclusions and layer numbers leave no layer, expected at least one; ${known}`,
    );
  return left;
}

function exclusion(
  where: string,
  names: readonly string[],
  exclude: readonly string[] | string | null,
  known: string,
): (name: string) => boolean {
  if (exclude === null) return () => false;
  const tests =
    typeof exclude === 'string'
      ? [
          {
            entry: exclude,
            matches: (name: string) => wholeNamePattern(`${where}: excludeModules`, exclude).test(name),
          },
        ]
      : exclude.map((entry) => ({ entry, matches: (name: string) => matchesSuffix(name, entry) }));
  for (const { entry, matches } of tests) {
    if (!names.some(matches))
      throw new AdapterError(
        `${where}: exclusion '${entry}' matches no layer, expected one that does; ${known}`,
      );
  }
  return (name) => tests.some(({ matches }) => matches(name));
}

/** Whether a name's layer number is among `layersToTransform`; the first number behind a segment counts. */
function layerFilter(
  where: string,
  { layersToTransform, layersPattern }: Selection,
): (name: string) => boolean {
  const layers = typeof layersToTransform === 'number' ? [layersToTransform] : (layersToTransform ?? []);
  if (layers.length === 0) return () => true;
  const given = typeof layersPattern === 'string' ? [layersPattern] : (layersPattern ?? []);
  const sources = given.length === 0 ? ['[^.]*'] : given;
  const patterns = sources.map((source) =>
    compile(`${where}: layersPattern`, source, `^.*?\\.(?:${source})\\.(\\d+)\\.`),
  );
  return (name) => {
    const found = patterns.map((pattern) => pattern.exec(name)).find((match) => match !== null);
    return found !== undefined && found !== null && layers.includes(Number(found.at(-1)));
  };
}

/** The value of the first key that matches `name` from a dot on, or null: how PEFT reads rank_pattern and alpha_pattern. */
export function patternValue(
  where: string,
  patterns: ReadonlyMap<string, number>,
  name: string,
): number | null {
  for (const [key, value] of patterns) if (keyPattern(where, key).test(name)) return value;
  return null;
}

/** @throws AdapterError naming a key that matches none of `names` */
export function checkPatternKeys(
  where: string,
  patterns: ReadonlyMap<string, number>,
  names: readonly string[],
): void {
  for (const key of patterns.keys()) {
    const pattern = keyPattern(where, key);
    if (!names.some((name) => pattern.test(name))) {
      throw new AdapterError(
        `${where}: key '${key}' matches no layer, expected one that does; the model has ${names.join(', ') || 'none'}`,
      );
    }
  }
}

function keyPattern(where: string, key: string): RegExp {
  return compile(where, key, `^(?:.*\\.)?(?:${key})$`);
}
