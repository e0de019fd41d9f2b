/** Writing a PEFT adapter. The config that it came with is kept where it still says the truth; else one is made that does. */

import { exactKey, layerReader } from '../patterns/rules.js';
import { checkWriteOptions, under } from './check.js';
import { checkLoraFile } from './check-file.js';
import { checkHeld, type LoraFile, type LoraModule, scaleOf, type TargetRules } from './lora-file.js';
import type { PeftConfig } from './peft-config.js';
import { formatPeftConfig } from './peft-config-write.js';
import { PEFT_PREFIX, peftKey, peftSlot } from './peft-keys.js';
import { type WritableTensor, writeSafetensors } from './safetensors-write.js';
import { checkStrength } from './strength.js';

const WHERE = 'writePeft';

/** Options of the writers. */
export interface LoraWriteOptions {
  /** Write NaN and infinity. Default false: they are an error that names the tensor. */
  readonly allowNonFinite?: boolean;
}

/** PEFT's two files. */
export interface PeftFiles {
  readonly 'adapter_config.json': Uint8Array<ArrayBuffer>;
  readonly 'adapter_model.safetensors': Uint8Array<ArrayBuffer>;
}

/** PEFT holds every factor; of other tensors those that came from PEFT. */
export const PEFT_RULES: TargetRules = {
  module: () => null,
  extra: ({ name, kind }) => (name.startsWith(PEFT_PREFIX) ? null : `${kind}, not under a name of PEFT's`),
};

/** An adapter by PEFT's fields and keys. */
export interface PeftForm {
  readonly config: PeftConfig;
  readonly tensors: readonly (readonly [string, WritableTensor])[];
}

/** What `writePeft` writes and a model loads. @throws TypeError; FormatError for what cannot be held, and an unknown alpha */
export function peftForm(where: string, file: LoraFile): PeftForm {
  checkLoraFile(where, file);
  checkHeld(where, file, PEFT_RULES);
  const modules = file.format === 'peft' ? file.modules : file.modules.map(withoutPrefix);
  const tensors: [string, WritableTensor][] = file.extras.map(({ name, tensor }) => [name, tensor]);
  for (const { path, kind, A, B } of modules)
    tensors.push([peftKey(path, peftSlot(kind, 'A')), A], [peftKey(path, peftSlot(kind, 'B')), B]);
  return { config: configOf(where, { ...file, modules }), tensors };
}

/** @throws FormatError for what cannot be held, an unknown alpha, or a value that is not finite */
export function writePeft(file: LoraFile, options: LoraWriteOptions = {}): PeftFiles {
  checkWriteOptions(WHERE, options);
  const form = peftForm(WHERE, file);
  return under(WHERE, () => writePeftForm(form, options.allowNonFinite ?? false));
}

/** The two files: of `writePeft`, and of a model's own export. @throws FormatError for a value that is not finite */
export function writePeftForm({ config, tensors }: PeftForm, allowNonFinite: boolean): PeftFiles {
  return {
    'adapter_config.json': formatPeftConfig(config),
    'adapter_model.safetensors': writeSafetensors(tensors, { allowNonFinite }),
  };
}

/** Another program's file may have PEFT's prefix in its names already: it is not put before them again. */
function withoutPrefix(module: LoraModule): LoraModule {
  const { path } = module;
  return path.startsWith(PEFT_PREFIX) && path.length > PEFT_PREFIX.length
    ? { ...module, path: path.slice(PEFT_PREFIX.length) }
    : module;
}

function configOf(where: string, { config, modules, extras }: LoraFile): PeftConfig {
  if (config === null) return makeConfig(where, modules);
  const settings = layerReader(where, config);
  const same = modules.every((module) => {
    const { r, scale } = settings(module.path);
    return r === module.r && Math.fround(scale) === Math.fround(scaleOf(where, module));
  });
  const kept = same ? config : { ...config, ...strengths(where, modules), useRslora: false };
  // Tensors that were left out take their options with them: PEFT would look for them on loading.
  const has = (kind: string): boolean => extras.some((extra) => extra.kind === kind);
  return {
    ...kept,
    useDora: kept.useDora && has('magnitude'),
    loraBias: kept.loraBias && has('lora_bias'),
    bias: has('bias') ? kept.bias : 'none',
    modulesToSave: has('saved') ? kept.modulesToSave : null,
  };
}

function makeConfig(where: string, modules: readonly LoraModule[]): PeftConfig {
  return {
    ...strengths(where, modules),
    loraDropout: 0,
    targetModules: modules.map(({ path }) => path),
    excludeModules: null,
    modulesToSave: null,
    bias: 'none',
    useRslora: false,
    useDora: false,
    fanInFanOut: false,
    initLoraWeights: true,
    layersToTransform: null,
    layersPattern: null,
    loraBias: false,
    otherFields: new Map(),
  };
}

/** The commonest rank and alpha, and patterns for the layers that differ; alpha is scale·r, so that scales stay. */
function strengths(where: string, modules: readonly LoraModule[]) {
  const alphaOf = (module: LoraModule): number => plainAlpha(where, module);
  const r = commonest(modules.map((module) => module.r));
  const loraAlpha = commonest(modules.map(alphaOf));
  const differing = (value: (module: LoraModule) => number, usual: number): Map<string, number> =>
    new Map(
      modules
        .filter((module) => value(module) !== usual)
        .map((module) => [exactKey(module.path), value(module)]),
    );
  return {
    r,
    loraAlpha,
    rankPattern: differing((module) => module.r, r),
    alphaPattern: differing(alphaOf, loraAlpha),
  };
}

/** The alpha that gives a module's scale as alpha/r. @throws FormatError where float32 does not hold it */
export function plainAlpha(where: string, module: LoraModule): number {
  const scale = scaleOf(where, module);
  // The file's own alpha where it is that one: scale·r may differ from it in the last bit.
  const alpha = module.alpha !== null && module.alpha / module.r === scale ? module.alpha : scale * module.r;
  return checkStrength(where, module.path, { alpha, scale }).alpha ?? 0;
}

/** The value that occurs most often, the first of several. */
export function commonest(values: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].reduce((best, entry) => (entry[1] > best[1] ? entry : best), [1, 0] as const)[0];
}
