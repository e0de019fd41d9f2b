/** PEFT's LoRA options by their names in camelCase, checked and completed with PEFT's defaults. */
import type { PeftConfig } from '../formats/peft-config.js';
import { checkBoolean, checkInteger, checkNumber, checkOptions, describe } from '../runtime/errors.js';

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
  /** Names or dotted suffixes of the layers to adapt, or one pattern that must match a whole name. */
  readonly targetModules: readonly string[] | string;
}

/** A layer's options with the defaults filled in. */
export type ResolvedLayerOptions = Required<LoraLayerOptions>;

/** An adapter's options with the defaults filled in. */
export interface ResolvedConfig extends ResolvedLayerOptions {
  readonly targetModules: readonly string[] | string;
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

/** @throws TypeError, RangeError */
export function resolveConfig(where: string, config: LoraConfig): ResolvedConfig {
  checkOptions(where, config, [...LAYER_OPTIONS, 'targetModules']);
  const { targetModules } = config;
  const isList = Array.isArray(targetModules);
  if (typeof targetModules !== 'string' && !isList) {
    throw new TypeError(
      `${where}: targetModules is ${describe(targetModules)}, expected an array of names or a pattern`,
    );
  }
  if (isList) {
    if (targetModules.length === 0)
      throw new RangeError(`${where}: targetModules is [], expected at least one name`);
    const wrong = targetModules.find((name: unknown) => typeof name !== 'string' || name === '');
    if (wrong !== undefined)
      throw new TypeError(`${where}: targetModules holds ${describe(wrong)}, expected names`);
  }
  return { ...completed(where, config), targetModules: isList ? [...targetModules] : targetModules };
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
