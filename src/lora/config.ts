/** PEFT's LoRA options by their names in camelCase, checked and completed with PEFT's defaults. */
import type { PeftConfig } from '../formats/peft-config.js';
import { checkBoolean, checkInteger, checkNumber, checkOptions, describe } from '../runtime/errors.js';
import { matchesSuffix, type Selection } from './targets.js';

/**
 * How A and B start: PEFT's default (`true`: A from U(±1/√in), B zero), `'gaussian'` (A from N(0, 1/r²), B zero), `false`
 * (both from U), `'orthogonal'` (both from orthogonal rows, r even), or from the base weight, which loses what they hold:
 * `'pissa'` (its r largest singular values), `'pissa_niter_4'` (the same by a randomised decomposition with that many
 * iterations) and `'olora'` (its QR decomposition). An embedding starts with A zero and B from N(0, 1).
 */
export type InitLoraWeights =
  | boolean
  | 'gaussian'
  | 'orthogonal'
  | 'pissa'
  | `pissa_niter_${number}`
  | 'olora';

/** A linear layer whose outputs are several projections one above the other, such as q, k and v. */
export interface FusedSlices {
  /** Outputs of each slice, in order; their sum is the layer's `out`. */
  readonly sizes: readonly number[];
  /** Which of them are adapted; the others stay as they are, byte for byte. */
  readonly adapted: readonly boolean[];
}

/** Options of one LoRA layer. */
export interface LoraLayerOptions {
  /** Rank, from 1 up. Default 8. */
  readonly r?: number;
  /** Numerator of the scaling. Default 8, as PEFT's: not r. */
  readonly loraAlpha?: number;
  /** Probability with which an element of the LoRA input is dropped in training, 0 to 1. Default 0. */
  readonly loraDropout?: number;
  /** Scaling alpha/√r in place of alpha/r. Default false. */
  readonly useRslora?: boolean;
  /** Default true. */
  readonly initLoraWeights?: InitLoraWeights;
  /** DoRA: a trained magnitude for every output over the direction W + s·B·A. Default false. */
  readonly useDora?: boolean;
  /** A trained bias in B, scaled as the rest. Default false. */
  readonly loraBias?: boolean;
}

/** Options of one linear LoRA layer. */
export interface LoraLinearOptions extends LoraLayerOptions {
  /** The layer holds fused projections. Default null: one. */
  readonly slices?: FusedSlices | null;
}

/** Options of an adapter over a model. */
export interface LoraConfig extends LoraLayerOptions {
  /** Names or dotted suffixes of the layers to adapt, one pattern that must match a whole name, or `'all-linear'`. */
  readonly targetModules: readonly string[] | string;
  /** Names, suffixes or a pattern of layers to leave out. Default none. */
  readonly excludeModules?: readonly string[] | string | null;
  /** Numbers of the layers to adapt, for targets given as suffixes. Default all. */
  readonly layersToTransform?: readonly number[] | number | null;
  /** Names of the lists that hold the numbered layers, such as `'layers'`. Default any. */
  readonly layersPattern?: readonly string[] | string | null;
  /** Ranks by pattern of the end of a name; the first that matches wins. Default none. */
  readonly rankPattern?: ReadonlyMap<string, number> | Readonly<Record<string, number>>;
  /** Alphas by pattern, looked up apart from the ranks. Default none. */
  readonly alphaPattern?: ReadonlyMap<string, number> | Readonly<Record<string, number>>;
  /** Names or suffixes of modules that the adapter has a trained copy of, whole. Default none. */
  readonly modulesToSave?: readonly string[] | null;
  /** Which biases the adapter has trained copies of: those of adapted layers (`'lora_only'`) or of every module. Default `'none'`. */
  readonly bias?: 'none' | 'all' | 'lora_only';
  /** Whether the adapted weights are stored [in, out]. It follows from the layers; a value they contradict stands in `report()`. Default false. */
  readonly fanInFanOut?: boolean;
  /** Fused projections by the layer's name or suffix. Default none. */
  readonly fusedSlices?: Readonly<Record<string, FusedSlices>>;
}

/** A layer's options with the defaults filled in. A file may name initialisations that are never run here. */
export interface ResolvedLayerOptions extends Required<Omit<LoraLinearOptions, 'initLoraWeights'>> {
  readonly initLoraWeights: boolean | string;
}

/** An adapter's options with the defaults filled in. */
export interface ResolvedConfig extends ResolvedLayerOptions, Selection {
  readonly rankPattern: ReadonlyMap<string, number>;
  readonly alphaPattern: ReadonlyMap<string, number>;
  readonly modulesToSave: readonly string[];
  readonly bias: 'none' | 'all' | 'lora_only';
  readonly fanInFanOut: boolean;
  readonly fusedSlices: ReadonlyMap<string, FusedSlices>;
  /** Fields of the file that the adapter came from which mean nothing here, to be written back. */
  readonly otherFields?: PeftConfig['otherFields'];
}

const LAYER_OPTIONS = [
  'r',
  'loraAlpha',
  'loraDropout',
  'useRslora',
  'initLoraWeights',
  'useDora',
  'loraBias',
] as const;

function completed(where: string, options: LoraLinearOptions): ResolvedLayerOptions {
  const { r = 8, loraAlpha = 8, loraDropout = 0, useRslora = false, initLoraWeights = true } = options;
  const { useDora = false, loraBias = false, slices = null } = options;
  checkInteger(`${where}: r`, r, 1, 2 ** 20);
  checkNumber(`${where}: loraAlpha`, loraAlpha, 0, Number.MAX_VALUE);
  checkNumber(`${where}: loraDropout`, loraDropout, 0, 1);
  checkBoolean(`${where}: useRslora`, useRslora);
  checkBoolean(`${where}: useDora`, useDora);
  checkBoolean(`${where}: loraBias`, loraBias);
  checkInit(where, initLoraWeights);
  if (loraBias && (useDora || typeof initLoraWeights === 'string')) {
    const other = useDora ? 'useDora' : `initLoraWeights '${initLoraWeights}'`;
    throw new RangeError(`${where}: loraBias with ${other}, expected neither of PEFT's two exclusions`);
  }
  return {
    ...{ r, loraAlpha, loraDropout, useRslora, initLoraWeights, useDora, loraBias },
    slices: slices === null ? null : checkSlices(`${where}: slices`, slices),
  };
}

const INITS = /^(?:gaussian|orthogonal|pissa|olora|pissa_niter_[1-9]\d{0,3})$/;
/** Initialisations of PEFT that need what this package does not have. */
const FOREIGN = new Map([
  ['eva', 'it needs activations of the data'],
  ['corda', 'it needs covariances of the data'],
  ['loftq', 'it needs a quantised base'],
  ['lora_ga', 'it needs gradients of the data'],
  ['mica', 'it freezes lora_B, which is not implemented'],
]);

function checkInit(where: string, init: unknown): void {
  if (typeof init === 'boolean' || (typeof init === 'string' && INITS.test(init))) return;
  const why = typeof init === 'string' ? FOREIGN.get(init) : undefined;
  const expected = "true, false, 'gaussian', 'orthogonal', 'pissa', 'pissa_niter_N' or 'olora'";
  const message = `${where}: initLoraWeights is ${describe(init)}${why === undefined ? '' : ` (${why})`}, expected ${expected}`;
  throw typeof init === 'string' ? new RangeError(message) : new TypeError(message);
}

/** True for an initialisation that takes A and B out of the base weight. */
export function changesBase(init: boolean | string): boolean {
  return typeof init === 'string' && /^(?:pissa|pissa_niter_\d+|olora|corda|loftq|lora_ga)$/.test(init);
}

function checkSlices(where: string, slices: unknown): FusedSlices {
  checkOptions(where, slices, ['sizes', 'adapted']);
  const { sizes, adapted } = slices as FusedSlices;
  if (!Array.isArray(sizes) || !Array.isArray(adapted) || sizes.length !== adapted.length)
    throw new TypeError(
      `${where}: sizes and adapted are ${describe(sizes)} and ${describe(adapted)}, expected arrays of one length`,
    );
  for (const size of sizes) checkInteger(`${where}: sizes`, size, 1, 2 ** 31 - 1);
  for (const flag of adapted) checkBoolean(`${where}: adapted`, flag);
  if (!adapted.includes(true)) throw new RangeError(`${where}: adapted has no true, expected at least one`);
  return { sizes: [...sizes], adapted: [...adapted] };
}

/** @throws TypeError, RangeError */
export function resolveLayerOptions(where: string, options: LoraLinearOptions): ResolvedLayerOptions {
  checkOptions(where, options, [...LAYER_OPTIONS, 'slices']);
  return completed(where, options);
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
  if (typeof targetModules === 'string' && layersToTransform !== null) {
    throw new RangeError(
      `${where}: layersToTransform with a pattern as targetModules, expected a list of names`,
    );
  }
  if (layersPattern !== null && layersToTransform === null) {
    throw new RangeError(`${where}: layersPattern without layersToTransform, expected both`);
  }
  const bias = config.bias ?? 'none';
  if (bias !== 'none' && bias !== 'all' && bias !== 'lora_only')
    throw new TypeError(`${where}: bias is ${describe(bias)}, expected 'none', 'all' or 'lora_only'`);
  const modulesToSave = namesOf(`${where}: modulesToSave`, given(where, config, 'modulesToSave', null));
  if (typeof modulesToSave === 'string')
    throw new TypeError(`${where}: modulesToSave is '${modulesToSave}', expected an array of names`);
  const fusedSlices = new Map(
    Object.entries(config.fusedSlices ?? {}).map(([name, slices]) => [
      name,
      checkSlices(`${where}: fusedSlices '${name}'`, slices),
    ]),
  );
  const resolved = {
    ...completed(where, config),
    modulesToSave: modulesToSave ?? [],
    bias,
    fanInFanOut: checkBoolean(`${where}: fanInFanOut`, config.fanInFanOut ?? false),
    fusedSlices,
    targetModules,
    excludeModules: namesOf(`${where}: excludeModules`, config.excludeModules ?? null),
    layersToTransform,
    layersPattern,
    rankPattern: patternOf(`${where}: rankPattern`, config.rankPattern),
    alphaPattern: patternOf(`${where}: alphaPattern`, config.alphaPattern),
  };
  for (const [key, r] of resolved.rankPattern) checkInteger(`${where}: rankPattern '${key}'`, r, 1, 2 ** 20);
  for (const [key, alpha] of resolved.alphaPattern)
    checkNumber(`${where}: alphaPattern '${key}'`, alpha, 0, Number.MAX_VALUE);
  return resolved;
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

/** alpha/r, or alpha/√r with rsLoRA. */
export function scalingOf({
  r,
  loraAlpha,
  useRslora,
}: Pick<ResolvedLayerOptions, 'r' | 'loraAlpha' | 'useRslora'>): number {
  return loraAlpha / (useRslora ? Math.sqrt(r) : r);
}

/** Checks an adapter's name: it becomes part of parameter names and folder names. @throws TypeError, RangeError */
export function checkAdapterName(where: string, name: unknown): string {
  if (typeof name !== 'string')
    throw new TypeError(`${where}: the adapter's name is ${describe(name)}, expected a string`);
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(name) || name === '__base__') {
    throw new RangeError(
      `${where}: the adapter's name is '${name}', expected 1 to 64 of A-Z a-z 0-9 _ - and not __base__`,
    );
  }
  return name;
}
