/**
 * Copies of base parameters that an adapter owns: trained biases and modules saved whole. While the adapter is active they
 * stand in the modules' own properties; switching moves references and copies nothing.
 */
import { keyInWrapped, savedSlot } from '../../formats/peft-keys.js';
import { dotted, type Module, type ParameterSlot } from '../../nn/module.js';
import type { Parameter } from '../../tensor/parameter.js';
import type { ResolvedConfig } from '../config/config.js';
import { savedModules } from '../config/saved-modules.js';
import { AdapterError } from '../errors.js';
import { LoraLayer } from '../layer/lora-layer.js';

/** A place in the model whose parameter the adapter has a copy of. */
export interface CopySite {
  /** Dotted name of the module. */
  readonly path: string;
  readonly slot: ParameterSlot;
  readonly original: Parameter;
  readonly kind: 'bias' | 'saved';
  /** The key in PEFT's file behind the prefix. */
  readonly key: string;
  /** Dotted name of the module that is saved whole, which this lies in; null for a bias. */
  readonly root: string | null;
}

/** A site with the adapter's own parameter. */
export interface OwnCopy extends CopySite {
  readonly own: Parameter;
}

/**
 * What `modulesToSave` and `bias` ask for, in the order of the model; the originals must be in place.
 * @param adapted - paths of the layers that the adapter adapts
 * @throws AdapterError for saved modules that lie in each other or hold adapted layers, and for one that keeps its parameters
 * where they cannot be exchanged
 */
export function copySites(
  where: string,
  model: Module,
  config: ResolvedConfig,
  adapted: ReadonlySet<string>,
): CopySite[] {
  const sites: CopySite[] = [];
  const modules = model.namedModules();
  const roots = savedRoots(where, modules, config.modulesToSave, adapted);
  for (const [path, module] of modules) {
    const slots = [...module.parameterSlots()];
    const root = roots.find((name) => path === name || path.startsWith(`${name}.`)) ?? null;
    if (root !== null) checkSaved(where, path, module, slots.length);
    for (const slot of slots) {
      const original = slot.get();
      const full = dotted(path, slot.name);
      if (root !== null) sites.push({ path, slot, original, kind: 'saved', key: full, root });
      else if (slot.name === 'bias' && wantsBias(config, path, adapted)) {
        const key = adapted.has(path) ? keyInWrapped(path, slot.name) : full;
        sites.push({ path, slot, original, kind: 'bias', key, root });
      }
    }
  }
  return sites;
}

/** The modules that are saved whole, as PEFT would load them again. @throws AdapterError */
function savedRoots(
  where: string,
  modules: readonly (readonly [string, Module])[],
  entries: readonly string[],
  adapted: ReadonlySet<string>,
): readonly string[] {
  const saved = savedModules(modules, entries);
  for (const root of saved) {
    const inner = saved.find((name) => name.startsWith(`${root}.`));
    if (inner !== undefined)
      throw new AdapterError(
        `${where}: saved module '${inner}' lies in '${root}', which is saved too, expected modules apart`,
      );
    const layer = [...adapted].find((path) => path === root || path.startsWith(`${root}.`));
    if (layer !== undefined)
      throw new AdapterError(
        `${where}: saved module '${root}' ${layer === root ? 'is adapted' : `holds '${layer}', which is adapted`}, expected a plain module; modulesToSave means every module whose name ends so`,
      );
  }
  return saved;
}

/** @throws AdapterError */
function checkSaved(where: string, path: string, module: Module, slots: number): void {
  if (module instanceof LoraLayer && module.adapters.length > 0)
    throw new AdapterError(
      `${where}: saved module '${path}' is adapted by another adapter, expected a plain module`,
    );
  if (slots !== [...module.ownParameters()].length)
    throw new AdapterError(
      `${where}: saved module '${path}' keeps parameters out of its properties, expected them there`,
    );
}

function wantsBias({ bias }: ResolvedConfig, path: string, adapted: ReadonlySet<string>): boolean {
  return bias === 'all' || (bias === 'lora_only' && adapted.has(path));
}

/** The adapters' own parameters by their names in the model. */
export function namedCopies(
  adapters: readonly { readonly name: string; readonly copies: readonly OwnCopy[] }[],
): [string, Parameter][] {
  return adapters.flatMap(({ name, copies }) =>
    copies.map(({ path, slot, kind, own }): [string, Parameter] => {
      const saved = kind === 'saved';
      return [dotted(path, saved ? savedSlot(name, slot.name) : `trained.${name}.${slot.name}`), own];
    }),
  );
}

/** Puts the originals back. */
export function putOriginals(copies: Iterable<OwnCopy>): void {
  for (const { slot, original } of copies) slot.set(original);
}

/** Puts the adapter's own parameters in. */
export function putOwn(copies: Iterable<OwnCopy>): void {
  for (const { slot, own } of copies) slot.set(own);
}
