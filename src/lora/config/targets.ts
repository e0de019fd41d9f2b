/**
 * Which modules an adapter targets: PEFT's rules for names, suffixes, whole-name patterns, exclusions, layer numbers and
 * modules saved whole. What matches nothing at all is an error, or a line in a list.
 */
import { compilePattern } from '../../patterns/pattern.js';
import { AdapterError } from '../errors.js';
import { layerFilter } from './layer-filter.js';
import { inSavedModule } from './saved-modules.js';

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
  /** Those that `'all-linear'` means: the linear ones but a language model's head. */
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
  /** Modules and lists of modules that a target matches and that cannot be adapted: passed over here, refused by PEFT. */
  readonly unfit: readonly string[];
}

/** Takes note of what matches nothing. */
type Miss = (what: string, expected: string) => void;

/** True where `name` is `entry` or ends with a dot and `entry`. */
export function matchesSuffix(name: string, entry: string): boolean {
  return name === entry || name.endsWith(`.${entry}`);
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
  const miss: Miss = (what, expected) => {
    if (strict) throw new AdapterError(`${where}: ${what} matches no layer, expected ${expected}; ${known}`);
    unmatched.push(what);
  };
  const excluded = exclusion(where, names, selection.excludeModules, miss);
  const saved = inSavedModule(where, modulesToSave);
  const numbered = layerFilter(where, selection);
  const wanted = wantedBy(where, names, targets, miss);
  // A name given in full is adapted whatever its number; PEFT filters suffixes alone.
  const full = new Set(typeof targets === 'string' ? [] : targets);
  const filtered = (name: string): boolean => typeof targets === 'string' || full.has(name) || numbered(name);
  const left = (name: string): boolean => filtered(name) && !excluded(name) && !saved(name);
  const adaptable = new Set(names.adaptable);
  const unfit = withContainers(names.all).filter(
    (name) => !adaptable.has(name) && wanted(name) && left(name),
  );
  const selected = names.adaptable.filter(wanted);
  const paths = selected.filter(left);
  if (paths.length === 0) {
    const why =
      selected.length === 0 ? 'no layer is targeted' : 'exclusions and layer numbers leave no layer';
    throw new AdapterError(`${where}: ${why}, expected at least one; ${known}`);
  }
  return { paths, excluded: selected.filter((name) => !left(name)), unmatched, unfit };
}

/** The names, and those of the lists that modules lie in: modules to PEFT. */
function withContainers(names: readonly string[]): string[] {
  const all = new Set(names);
  for (const name of names)
    for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) all.add(name.slice(0, dot));
  return [...all];
}

/** Whether a target means a module, before anything is left out. */
function wantedBy(
  where: string,
  { all, adaptable, linear }: ModuleNames,
  targets: readonly string[] | string,
  miss: Miss,
): (name: string) => boolean {
  if (typeof targets === 'string') {
    const whole = targets.toLowerCase() === 'all-linear';
    const lines = new Set(linear);
    const pattern = whole ? null : compilePattern(`${where}: targetModules`, targets);
    const wanted = (name: string): boolean => pattern?.matches(name) ?? lines.has(name);
    if (!all.some(wanted)) miss(`pattern '${targets}'`, 'one that does');
    return wanted;
  }
  const suffixes = suffixTest(targets);
  const used = new Set(all.flatMap(suffixes));
  const fitting = new Set(adaptable.flatMap(suffixes));
  for (const target of targets) {
    if (!used.has(target)) miss(`target '${target}'`, 'a name or suffix');
    else if (!fitting.has(target)) {
      const matching = all.filter((name) => matchesSuffix(name, target)).join(', ');
      const only = `(only ${matching}, which is no Linear, Embedding or Conv2d)`;
      miss(`target '${target}' ${only}`, 'one that can be adapted');
    }
  }
  return (name) => suffixes(name).length > 0;
}

/** The entries that a name is or ends with, from a dot on. */
function suffixTest(entries: readonly string[]): (name: string) => string[] {
  const set = new Set(entries);
  return (name) => {
    const found: string[] = [];
    for (let from = 0; from >= 0; ) {
      const suffix = name.slice(from);
      if (set.has(suffix)) found.push(suffix);
      const dot = name.indexOf('.', from);
      from = dot < 0 ? -1 : dot + 1;
    }
    return found;
  };
}

function exclusion(
  where: string,
  { all }: ModuleNames,
  exclude: readonly string[] | string | null,
  miss: Miss,
): (name: string) => boolean {
  if (exclude === null || exclude === '') return () => false;
  if (typeof exclude === 'string') {
    const pattern = compilePattern(`${where}: excludeModules`, exclude);
    if (!all.some((name) => pattern.matches(name))) miss(`exclusion '${exclude}'`, 'one that does');
    return (name) => pattern.matches(name);
  }
  const suffixes = suffixTest(exclude);
  const used = new Set(all.flatMap(suffixes));
  for (const entry of exclude) if (!used.has(entry)) miss(`exclusion '${entry}'`, 'one that does');
  return (name) => suffixes(name).length > 0;
}
