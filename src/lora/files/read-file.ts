/**
 * An adapter that a reader of `formats` gave (MLX, GGUF, kohya, loralib, PEFT) as `loadAdapter` takes it: PEFT's config and
 * keys, by the names and kinds that the model's layers have. Knows none of the readers.
 */
import { kohyaName } from '../../formats/kohya-name.js';
import type { LoraFile, LoraModule } from '../../formats/lora-file.js';
import type { PeftConfig } from '../../formats/peft-config.js';
import { peftForm } from '../../formats/peft-write.js';
import type { Module } from '../../nn/module.js';
import { escaped } from '../../patterns/rules.js';
import { matchesSuffix } from '../config/targets.js';
import { AdapterError } from '../errors.js';
import { childrenOf } from '../layer/children.js';
import { kindOf } from '../layer/wrap.js';
import type { NamedTensors } from './file-values.js';

/** What an adapter's files hold. */
export interface ReadFile {
  readonly config: PeftConfig;
  readonly tensors: NamedTensors;
  readonly warnings: readonly string[];
}

/** Whether a source is what a reader of `formats` gives. */
export function isLoraFile(source: unknown): source is LoraFile {
  return typeof source === 'object' && source !== null && 'modules' in source && 'extras' in source;
}

/** @throws TypeError, AdapterError; FormatError for what PEFT's keys cannot name, and where alpha is unknown */
export function fromLoraFile(where: string, file: LoraFile, model: Module): ReadFile {
  const form = peftForm(where, file);
  // An adapter of PEFT's has its kinds and its targets with it.
  if (file.format === 'peft' && file.config !== null)
    return { config: form.config, tensors: tensorsOf(form.tensors), warnings: file.warnings };
  const kinds = new Map([...childrenOf(model)].map(([path, { module }]) => [path, kindOf(module)]));
  const paths = [...kinds.keys()].filter((path) => kinds.get(path) !== null);
  const named = file.format === 'kohya' ? dottedPaths(where, file.modules, paths) : file.modules;
  // A file that has no word for embeddings tells them by their names; the model knows.
  const modules = named.map((module) => {
    const kind = kinds.get(module.path) ?? null;
    if (kind === null || module.kind === 'conv2d') return module;
    return { ...module, kind: kind === 'embedding' ? ('embedding' as const) : ('linear' as const) };
  });
  const { config, tensors } = peftForm(where, { ...file, modules });
  return {
    config: file.config === null ? { ...config, targetModules: targetsOf(modules, paths) } : config,
    tensors: tensorsOf(tensors),
    warnings: file.warnings,
  };
}

/** Names with underscores as the paths of the model's layers; what names none stays. @throws AdapterError for a name of two layers */
function dottedPaths(
  where: string,
  modules: readonly LoraModule[],
  paths: readonly string[],
): readonly LoraModule[] {
  const found = new Map<string, string>();
  const wanted = new Set(modules.map(({ path }) => firstEncoder(path)));
  for (const path of paths) {
    const name = firstEncoder(kohyaName(path));
    const other = found.get(name);
    if (other !== undefined && wanted.has(name))
      throw new AdapterError(
        `${where}: '${other}' and '${path}' are both '${name}' in the file, expected a name for each`,
      );
    found.set(name, path);
  }
  return modules.map((module) => ({ ...module, path: found.get(firstEncoder(module.path)) ?? module.path }));
}

/** The only text encoder of a pipeline is the first of one that has two. */
function firstEncoder(name: string): string {
  return name.replace(/^lora_te1_/, 'lora_te_');
}

/** Names, or a pattern of them where others of the model's layers end with one. */
function targetsOf(modules: readonly LoraModule[], paths: readonly string[]): readonly string[] | string {
  const wanted = new Set(modules.map(({ path }) => path));
  const names = [...wanted];
  const more = paths.some((path) => !wanted.has(path) && names.some((name) => matchesSuffix(path, name)));
  return more ? names.map(escaped).join('|') : names;
}

function tensorsOf(
  list: readonly (readonly [
    string,
    { readonly shape: readonly number[]; readonly data: ArrayLike<number | bigint> },
  ])[],
): NamedTensors {
  const tensors = new Map(list);
  return {
    names: [...tensors.keys()],
    info: (name) => ({ shape: tensors.get(name)!.shape }),
    f32: (name) => {
      const { data } = tensors.get(name)!;
      return data instanceof Float32Array ? data : Float32Array.from(data, Number);
    },
  };
}
