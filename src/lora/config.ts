/** PEFT's LoRA options by their names in camelCase, checked and completed with PEFT's defaults. */
import type { PeftConfig } from '../formats/peft-config.js';
import { checkBoolean, checkInteger, checkNumber, checkOptions, describe } from '../runtime/errors.js';
import { patternValue, type Selection } from './targets.js';

/** How A and B start: PEFT's default (`true`: A from U(±1/√in), B zero), `'gaussian'` (A from N(0, 1/r²), B zero), or `false` (both from U). */
export type InitLoraWeights = boolean | 'gaussian';

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
}

/** A layer's options with the defaults filled in. */
export type ResolvedLayerOptions = Required<LoraLayerOptions>;

/** An adapter's options with the defaults filled in. */
export interface ResolvedConfig extends ResolvedLayerOptions, Selection {
  readonly rankPattern: ReadonlyMap<string, number>;
  readonly alphaPattern: ReadonlyMap<string, number>;
  /** Fields of the file that the adapter came from which mean nothing here, to be written back. */
  readonly otherFields?: PeftConfig['otherFields'];
}

const LAYER_OPTIONS = ['r', 'loraAlpha', 'loraDropout', 'useRslora', 'initLoraWeights'] as const;

function completed(where: string, options: LoraLayerOptions): ResolvedLayerOptions {
  const { r = 8, loraAlpha = 8, loraDropout = 0, useRslora = false, initLoraWeights = true } = options;
  checkInteger(`${where}: r`, r, 1, 2 ** 20);
  checkNumber(`${where}: loraAlpha`, loraAlpha, 0, Number.MAX_VALUE);
  checkNumber(`${where}: loraDropout`, loraDropout, 0, 1);
  checkBoolean(`${where}: useRslora`, useRslora);
  if (typeof initLoraWeights !== 'boolean' && initLoraWeights !== 'gaussian') {
    throw new TypeError(
      `${where}: initLoraWeights is ${describe(initLoraWeights)}, expected true, false or 'gaussian'`,
    );
  }
  return { r, loraAlpha, loraDropout, useRslora, initLoraWeights };
}

/** @throws TypeError, RangeError */
export function resolveLayerOptions(where: string, options: LoraLayerOptions): ResolvedLayerOptions {
  checkOptions(where, options, LAYER_OPTIONS);
  return completed(where, options);
}

const MODEL_OPTIONS = [
  'targetModules',
  'excludeModules',
  'layersToTransform',
  'layersPattern',
  'rankPattern',
  'alphaPattern',
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
  const resolved = {
    ...completed(where, config),
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

/** The options of one layer of an adapter: its own rank and alpha where a pattern gives them. @throws AdapterError */
export function layerOptionsOf(where: string, config: ResolvedConfig, path: string): ResolvedLayerOptions {
  const { loraDropout, useRslora, initLoraWeights } = config;
  const r = patternValue(`${where}: rankPattern`, config.rankPattern, path) ?? config.r;
  const loraAlpha = patternValue(`${where}: alphaPattern`, config.alphaPattern, path) ?? config.loraAlpha;
  return { r, loraAlpha, loraDropout, useRslora, initLoraWeights };
}

function namesOf(where: string, value: unknown): readonly string[] | string | null {
  if (value === null || typeof value === 'string') return value;
  if (!Array.isArray(value))
    throw new TypeError(`${where} is ${describe(value)}, expected an array of names or a pattern`);
  const wrong = value.find((name: unknown) => typeof name !== 'string' || name === '');
  if (wrong !== undefined) throw new TypeError(`${where} holds ${describe(wrong)}, expected names`);
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
export function scalingOf({ r, loraAlpha, useRslora }: ResolvedLayerOptions): number {
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
