/**
 * Which modules an adapter targets, and with which rank and alpha: PEFT's rules for names, suffixes, whole-name patterns,
 * exclusions, layer numbers, and the first matching key of a pattern. What matches nothing at all is an error, or a line in a list.
 */
import { compilePattern, type NamePattern } from '../formats/patterns.js';
import { AdapterError } from './errors.js';

/** What selects the modules; see PEFT's fields of these names. */
export interface Selection {
  readonly targetModules: readonly string[] | string;
  readonly excludeModules: readonly string[] | string | null;
  readonly layersToTransform: readonly number[] | number | null;
  readonly layersPattern: readonly string[] | string | null;
  readonly modulesToSave: readonly string[];
}

/** The dotted names of a model's modules. */
export interface ModuleNames {
  /** Every module. */
  readonly all: readonly string[];
  /** Those that can be adapted. */
  readonly adaptable: readonly string[];
  /** Those that `'all-linear'` means. */
  readonly linear: readonly string[];
}

/** What a selection comes to. */
export interface Selected {
  /** The modules to adapt, in the order of the model. */
  readonly paths: readonly string[];
  /** Modules that a target matches and that an exclusion, a layer filter or `modulesToSave` leaves out. */
  readonly excluded: readonly string[];
  /** What matches no module name, in words. */
  readonly unmatched: readonly string[];
}

/** True where `name` is `entry` or ends with a dot and `entry`. */
export function matchesSuffix(name: string, entry: string): boolean {
  return name === entry || name.endsWith(`.${entry}`);
}

/** True where `name` is a module that `entry` names, or lies inside one. */
export function liesWithin(name: string, entry: string): boolean {
  return `.${name}.`.includes(`.${entry}.`);
}

/**
 * The modules that `selection` selects.
 * @param strict - an entry that matches no module name is an error; otherwise it stands in `unmatched`
 * @throws AdapterError naming what matches nothing and the names there are; always when no module is left
 */
export function selectTargets(
  where: string,
  names: ModuleNames,
  selection: Selection,
  strict = true,
): Selected {
  const { targetModules: targets, modulesToSave } = selection;
  const known = `the model has ${names.adaptable.join(', ') || 'none'}`;
  const unmatched: string[] = [];
  const miss = (what: string, expected: string): void => {
    if (strict) throw new AdapterError(`${where}: ${what} matches no layer, expected ${expected}; ${known}`);
    unmatched.push(what);
  };
  const excluded = exclusion(where, names, selection.excludeModules, miss);
  for (const entry of modulesToSave)
    if (!names.all.some((name) => matchesSuffix(name, entry)))
      miss(`saved module '${entry}'`, 'a name or suffix');
  const numbered = layerFilter(where, selection);
  let wanted: (name: string) => boolean;
  let filtered: (name: string) => boolean = () => true;
  if (typeof targets === 'string') {
    const all = targets.toLowerCase() === 'all-linear';
    const pattern = all ? null : compilePattern(`${where}: targetModules`, targets);
    const linear = new Set(names.linear);
    wanted = (name) => (pattern === null ? linear.has(name) : pattern.matches(name));
    if (!(all ? names.linear : names.all).some(wanted)) miss(`pattern '${targets}'`, 'one that does');
  } else {
    const adaptable = new Set(names.adaptable);
    for (const target of targets) {
      const matching = names.all.filter((name) => matchesSuffix(name, target));
      if (matching.length === 0) miss(`target '${target}'`, 'a name or suffix');
      else if (!matching.some((name) => adaptable.has(name)))
        miss(
          `target '${target}' (only ${matching.join(', ')}, which is no Linear, Embedding or Conv2d)`,
          'one that can be adapted',
        );
    }
    wanted = (name) => targets.some((target) => matchesSuffix(name, target));
    // A name given in full is adapted whatever its number; PEFT filters suffixes alone.
    filtered = (name) => targets.includes(name) || numbered(name);
  }
  const selected = names.adaptable.filter(wanted);
  const left = (name: string): boolean =>
    filtered(name) && !excluded(name) && !modulesToSave.some((entry) => liesWithin(name, entry));
  const paths = selected.filter(left);
  if (paths.length === 0) {
    const why =
      selected.length === 0 ? 'no layer is targeted' : 'exclusions and layer numbers leave no layer';
    throw new AdapterError(`${where}: ${why}, expected at least one; ${known}`);
  }
  return { paths, excluded: selected.filter((name) => !left(name)), unmatched };
}

function exclusion(
  where: string,
  names: ModuleNames,
  exclude: readonly string[] | string | null,
  miss: (what: string, expected: string) => void,
): (name: string) => boolean {
  if (exclude === null) return () => false;
  const tests =
    typeof exclude === 'string'
      ? [{ entry: exclude, matches: matcher(compilePattern(`${where}: excludeModules`, exclude)) }]
      : exclude.map((entry) => ({ entry, matches: (name: string) => matchesSuffix(name, entry) }));
  for (const { entry, matches } of tests)
    if (!names.all.some(matches)) miss(`exclusion '${entry}'`, 'one that does');
  return (name) => tests.some(({ matches }) => matches(name));
}

function matcher(pattern: NamePattern): (name: string) => boolean {
  return (name) => pattern.matches(name);
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
    compilePattern(`${where}: layersPattern`, source, { before: '.*?\\.', after: '\\.(\\d+)\\..*' }),
  );
  return (name) => {
    const found = patterns.map((pattern) => pattern.lastGroup(name)).find((group) => group !== null);
    return found !== undefined && found !== null && layers.includes(Number(found));
  };
}
