/** What adding an adapter to a model comes to, worked out before anything changes: layers, options, and what matched nothing. */

import type { Child, Module } from '../../nn/module.js';
import { PatternValues } from '../../patterns/rules.js';
import { layerOptionsOf, type ResolvedConfig } from '../config/config.js';
import type { ResolvedLayerOptions } from '../config/layer-options.js';
import { idleEntries } from '../config/saved-modules.js';
import { type ModuleNames, matchesSuffix, selectTargets } from '../config/targets.js';
import { AdapterError } from '../errors.js';
import { childrenOf } from '../layer/children.js';
import type { LoraLayer } from '../layer/lora-layer.js';
import { kindOf, wrap } from '../layer/wrap.js';

/** One layer of an adapter to be. */
export interface PlannedLayer {
  readonly path: string;
  readonly child: Child;
  /** The LoRA layer, in the model already or made for it. */
  readonly layer: LoraLayer;
  readonly options: ResolvedLayerOptions;
}

export interface AdapterPlan {
  readonly layers: readonly PlannedLayer[];
  /** Matched, and left out. */
  readonly excluded: readonly string[];
  /** Keys of patterns that match modules and decide nothing, in words. */
  readonly unused: readonly string[];
  /** What matches no module name, in words; empty unless `strict` is off. */
  readonly unmatched: readonly string[];
  /** What a target matches and cannot be adapted, see `Selected`. */
  readonly unfit: readonly string[];
  /** Entries of `modulesToSave` that match no module, in words. */
  readonly idle: readonly string[];
  /** What the options say and the layers do otherwise, in words. */
  readonly notes: readonly string[];
}

/** What planning is told besides the config. */
export interface PlanOptions {
  /** Whether what matches nothing is an error. */
  readonly strict: boolean;
  /** Whether the config stood in a file: PEFT lists saved modules there that a model need not have, such as `score`. */
  readonly loaded: boolean;
}

const headOf = (module: Module): Module | null => module.outputEmbeddings;

/** @throws AdapterError */
export function planAdapter(
  where: string,
  model: Module,
  config: ResolvedConfig,
  { strict, loaded }: PlanOptions,
): AdapterPlan {
  const children = childrenOf(model);
  const all = [...children.keys()];
  const heads = new Set([model, ...[...children.values()].map(({ module }) => module)].map(headOf));
  const kinds = new Map(all.map((path) => [path, kindOf(children.get(path)!.module)]));
  const names: ModuleNames = {
    all,
    adaptable: all.filter((path) => kinds.get(path) !== null),
    linear: all.filter((path) => kinds.get(path) === 'linear' && !heads.has(children.get(path)!.module)),
  };
  const { paths, excluded, unmatched, unfit } = selectTargets(where, names, config, strict);
  const idle = idleEntries(all, config.modulesToSave).map((entry) => `saved module '${entry}'`);
  if (strict && !loaded && idle[0] !== undefined)
    throw new AdapterError(
      `${where}: ${idle[0]} matches no module, expected the end of a module's name; the model has ${all.join(', ')}`,
    );
  const lost = [...unmatched, ...(strict ? [] : idle)];
  const unused: string[] = [];
  const patterns = { rankPattern: config.rankPattern, alphaPattern: config.alphaPattern };
  const values = Object.entries(patterns).map(([name, pattern]) => {
    const compiled = new PatternValues(`${where}: ${name}`, pattern);
    const missing = compiled.unmatched(all);
    if (strict && missing.length > 0) {
      throw new AdapterError(
        `${where}: ${name}: key '${missing[0]}' matches no layer, expected one that does; the model has ${names.adaptable.join(', ') || 'none'}`,
      );
    }
    lost.push(...missing.map((key) => `${name} key '${key}'`));
    unused.push(
      ...compiled
        .unused(paths)
        .filter((key) => !missing.includes(key))
        .map((key) => `${name} key '${key}'`),
    );
    return compiled;
  });
  for (const key of config.fusedSlices.keys())
    if (!paths.some((path) => matchesSuffix(path, key)))
      throw new AdapterError(
        `${where}: fusedSlices '${key}' matches no adapted layer, expected one that does`,
      );
  const layers = paths.map((path): PlannedLayer => {
    const child = children.get(path)!;
    const options = layerOptionsOf(config, path, values[0]!.valueOf(path), values[1]!.valueOf(path));
    return { path, child, layer: wrap(`${where}: ${path}`, child.module), options };
  });
  for (const { path, layer, options } of layers)
    layer.state.adaptation.shapes(`${where}: ${path}`, layer.base, options);
  const notes = [...idle.map((entry) => `${entry} matches no module`), ...notesOf(config, layers)];
  return { layers, excluded, unused, unmatched: lost, unfit, idle, notes };
}

function notesOf(config: ResolvedConfig, layers: readonly PlannedLayer[]): string[] {
  const notes: string[] = [];
  const contrary = layers.filter(
    ({ layer: { kind, base, state } }) =>
      kind === 'linear' && state.adaptation.fanInFanOut(base) !== config.fanInFanOut,
  );
  if (contrary.length > 0)
    notes.push(
      `fanInFanOut is ${config.fanInFanOut}, the weight of ${contrary.map(({ path }) => path).join(', ')} is stored the other way: the layer counts`,
    );
  if (config.loraDropout > 0) {
    const undropped = layers.filter(({ layer }) => layer.kind === 'embedding').map(({ path }) => path);
    if (undropped.length > 0)
      notes.push(`loraDropout ${config.loraDropout} has no effect on the embedding ${undropped.join(', ')}`);
  }
  for (const { path, options } of layers)
    if (options.loraAlpha / options.r < 0.25 && !options.useRslora)
      notes.push(
        `${path}: alpha/r is ${options.loraAlpha}/${options.r}, below 1/4: the adapter is weak; loraAlpha's default is 8`,
      );
  return notes;
}
