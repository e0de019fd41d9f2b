/** PEFT's options of an adapter over a model by their names in camelCase, checked and completed with PEFT's defaults. */
import type { PeftConfig } from '../../formats/peft-config.js';
import { BIAS_WORDS, type BiasWord, isBiasWord } from '../../formats/peft-words.js';
import { checkBoolean, checkInteger, checkNumber, checkOptions, describe } from '../../values/checks.js';
import {
  checkSlices,
  completeLayerOptions,
  type FusedSlices,
  LAYER_OPTIONS,
  type LoraLayerOptions,
  type ResolvedLayerOptions,
} from './layer-options.js';
import { matchesSuffix, type Selection } from './targets.js';

/** Options of an adapter over a model. */
export interface LoraConfig extends LoraLayerOptions {
  /** Names or dotted suffixes of the layers to adapt, one pattern that must match a whole name, or `'all-linear'`: every linear one but a model's `outputEmbeddings`. */
  readonly targetModules: readonly string[] | string;
  /** Names, suffixes or a pattern of layers to leave out. Default none. */
  readonly excludeModules?: readonly string[] | string | null;
  /** Numbers of the layers to adapt, for targets given as suffixes. Default all. */
  readonly layersToTransform?: readonly number[] | number | null;
  /** Names of the lists that hold the numbered layers, such as `'layers'`; `''` and `[]` are none. Default any. */
  readonly layersPattern?: readonly string[] | string | null;
  /** Ranks by pattern of the end of a name; the first that matches wins. Default none. */
  readonly rankPattern?: ReadonlyMap<string, number> | Readonly<Record<string, number>>;
  /** Alphas by pattern, looked up apart from the ranks. Default none. */
  readonly alphaPattern?: ReadonlyMap<string, number> | Readonly<Record<string, number>>;
  /** Ends of the names of modules that the adapter has a trained copy of, whole, as PEFT takes them: `'head'` means `pre_head` too. Default none. */
  readonly modulesToSave?: readonly string[] | null;
  /** Which biases the adapter has trained copies of: those of adapted layers (`'lora_only'`) or of every module. Default `'none'`. */
  readonly bias?: BiasWord;
  /** Whether the adapted weights are stored [in, out]. It follows from the layers; a value they contradict stands in `report()`. Default false. */
  readonly fanInFanOut?: boolean;
  /** Fused projections by the layer's name or suffix. Default none. */
  readonly fusedSlices?: Readonly<Record<string, FusedSlices>>;
}

/** An adapter's options with the defaults filled in. */
export interface ResolvedConfig extends ResolvedLayerOptions, Selection {
  readonly rankPattern: ReadonlyMap<string, number>;
  readonly alphaPattern: ReadonlyMap<string, number>;
  readonly modulesToSave: readonly string[];
  readonly bias: BiasWord;
  readonly fanInFanOut: boolean;
  readonly fusedSlices: ReadonlyMap<string, FusedSlices>;
  /** Fields of the file that the adapter came from which mean nothing here, to be written back. */
  readonly otherFields?: PeftConfig['otherFields'];
}

const MODEL_OPTIONS = [
  'targetModules',
  'excludeModules',
  'layersToTransform',
  'layersPattern',
  'rankPattern',
  'alphaPattern',
  'modulesToSave',
  'bias',
  'fanInFanOut',
  'fusedSlices',
] as const;

/** @throws TypeError, RangeError */
export function resolveConfig(where: string, config: LoraConfig): ResolvedConfig {
  checkOptions(where, config, [...LAYER_OPTIONS, ...MODEL_OPTIONS]);
  const selection = selectionOf(where, config);
  const bias = config.bias ?? 'none';
  if (!isBiasWord(bias))
    throw new TypeError(`${where}: bias is ${describe(bias)}, expected one of ${BIAS_WORDS.join(', ')}`);
  const fusedSlices = new Map(
    Object.entries(config.fusedSlices ?? {}).map(([name, slices]) => [
      name,
      checkSlices(`${where}: fusedSlices '${name}'`, slices),
    ]),
  );
  const resolved = {
    ...completeLayerOptions(where, config),
    ...selection,
    ...{ bias, fusedSlices },
    fanInFanOut: checkBoolean(`${where}: fanInFanOut`, config.fanInFanOut ?? false),
    rankPattern: patternOf(`${where}: rankPattern`, config.rankPattern),
    alphaPattern: patternOf(`${where}: alphaPattern`, config.alphaPattern),
  };
  for (const [key, r] of resolved.rankPattern) checkInteger(`${where}: rankPattern '${key}'`, r, 1, 2 ** 20);
  for (const [key, alpha] of resolved.alphaPattern)
    checkNumber(`${where}: alphaPattern '${key}'`, alpha, 0, Number.MAX_VALUE);
  return resolved;
}

/** What selects the modules. @throws TypeError, RangeError */
function selectionOf(where: string, config: LoraConfig): Selection {
  const { layersToTransform = null } = config;
  const targetModules = namesOf(`${where}: targetModules`, config.targetModules);
  if (targetModules === null)
    throw new TypeError(`${where}: targetModules is null, expected an array of names or a pattern`);
  if (targetModules.length === 0)
    throw new RangeError(`${where}: targetModules is [], expected at least one name`);
  const layers = typeof layersToTransform === 'number' ? [layersToTransform] : (layersToTransform ?? []);
  if (!Array.isArray(layers))
    throw new TypeError(`${where}: layersToTransform is ${describe(layers)}, expected integers`);
  for (const layer of layers) checkInteger(`${where}: layersToTransform`, layer, 0, 2 ** 31 - 1);
  const layersPattern = namesOf(`${where}: layersPattern`, config.layersPattern ?? null);
  if (typeof targetModules === 'string' && (layersToTransform !== null || layersPattern !== null)) {
    const which = layersToTransform === null ? 'layersPattern' : 'layersToTransform';
    throw new RangeError(`${where}: ${which} with a pattern as targetModules, expected a list of names`);
  }
  if (layersPattern !== null && layersPattern.length > 0 && layersToTransform === null) {
    throw new RangeError(`${where}: layersPattern without layersToTransform, expected both`);
  }
  const modulesToSave = namesOf(`${where}: modulesToSave`, given(where, config, 'modulesToSave', null));
  if (typeof modulesToSave === 'string')
    throw new TypeError(`${where}: modulesToSave is ${describe(modulesToSave)}, expected an array of names`);
  return {
    targetModules,
    excludeModules: namesOf(`${where}: excludeModules`, config.excludeModules ?? null),
    layersToTransform,
    layersPattern,
    modulesToSave: modulesToSave ?? [],
  };
}

/** The options of one layer of an adapter: its own rank and alpha where a pattern gives them, null where none does. */
export function layerOptionsOf(
  config: ResolvedConfig,
  path: string,
  rank: number | null,
  alpha: number | null,
): ResolvedLayerOptions {
  const { loraDropout, useRslora, initLoraWeights, useDora, loraBias } = config;
  const r = rank ?? config.r;
  const loraAlpha = alpha ?? config.loraAlpha;
  const slices = [...config.fusedSlices].find(([name]) => matchesSuffix(path, name))?.[1] ?? null;
  return { r, loraAlpha, loraDropout, useRslora, initLoraWeights, useDora, loraBias, slices };
}

/** An option that may be left out, but not be given as undefined: a wrong variable is no default. */
function given<K extends keyof LoraConfig, D>(
  where: string,
  config: LoraConfig,
  key: K,
  otherwise: D,
): LoraConfig[K] | D {
  if (key in config && config[key] === undefined)
    throw new TypeError(`${where}: ${key} is undefined, expected a value or no such option`);
  return config[key] ?? otherwise;
}

function namesOf(where: string, value: unknown): readonly string[] | string | null {
  if (value === null || typeof value === 'string') return value;
  if (!Array.isArray(value))
    throw new TypeError(`${where} is ${describe(value)}, expected an array of names or a pattern`);
  const wrong = value.findIndex((name: unknown) => typeof name !== 'string' || name === '');
  if (wrong >= 0) throw new TypeError(`${where} holds ${describe(value[wrong])}, expected names`);
  return [...(value as string[])];
}

function patternOf(where: string, value: unknown): ReadonlyMap<string, number> {
  if (value === undefined) return new Map();
  if (value instanceof Map) return new Map(value as Map<string, number>);
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw new TypeError(`${where} is ${describe(value)}, expected a Map or an object of numbers`);
  }
  return new Map(Object.entries(value as Record<string, number>));
}
