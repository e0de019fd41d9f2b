/** Reading a PEFT adapter into the neutral description. Keys are taken apart by their ends, never by replacing text. */

import { layerReader } from '../patterns/rules.js';
import { checkOptions } from '../values/checks.js';
import { FormatError } from '../values/format-error.js';
import { checkAlpha, checkObject } from './check.js';
import { alphasBeside, FactorTable, withLayers } from './factors.js';
import type { ExtraKind, ExtraTensor, LoraArray, LoraFile, LoraKind } from './lora-file.js';
import type { PeftConfig } from './peft-config.js';
import { PEFT_PREFIX, partOfKey, placeOfKey } from './peft-keys.js';
import { openPeft, type PeftSource } from './peft-open.js';
import type { SafetensorsFile } from './safetensors-read.js';
import type { WritableTensor } from './safetensors-write.js';
import { type Strength, strengthOf } from './strength.js';

const WHERE = 'readPeft';

/** Options of the readers. */
export interface ReadOptions {
  /** Alpha of every layer, for a file that does not hold it. */
  readonly alpha?: number;
}

/**
 * Reads PEFT's two files: each layer's rank, alpha and scale by the config's patterns and rsLoRA.
 * @throws FormatError for files that are none, halves without each other, and ranks that contradict the config
 */
export function readPeft(source: PeftSource, options: ReadOptions = {}): LoraFile {
  checkObject(`${WHERE}: source`, source, 'config and weights');
  checkOptions(WHERE, options, ['alpha']);
  checkAlpha(WHERE, options.alpha);
  const { config, tensors: file, warnings } = openPeft(WHERE, source);
  if (config !== null && options.alpha !== undefined)
    throw new FormatError(
      `${WHERE}: alpha ${options.alpha} was given, but adapter_config.json has its own, expected none`,
    );
  const skip = prefixLength(file.names);
  const unprefixed =
    skip === 0 && file.names.length > 0
      ? [`${WHERE}: keys do not begin with '${PEFT_PREFIX}', and PEFT would not apply them; read as they are`]
      : [];
  const { factors, kinds, extras: others } = sortTensors(file, skip, config);
  const { paths } = factors;
  const { alphas, extras } = alphasBeside(WHERE, file, others, paths, { skip, given: options.alpha });
  const modules = factors.modules(
    (path) => kinds.get(path)!,
    strengths(config, alphas, options.alpha ?? null),
  );
  return {
    format: 'peft',
    modules,
    extras: withLayers(extras, paths, skip),
    config,
    warnings: [...warnings, ...unprefixed],
  };
}

/** How many characters stand before the paths. @throws FormatError where only some keys have PEFT's prefix */
function prefixLength(names: readonly string[]): number {
  const bare = names.find((name) => !name.startsWith(PEFT_PREFIX));
  if (bare === undefined) return names.length === 0 ? 0 : PEFT_PREFIX.length;
  if (names.some((name) => name.startsWith(PEFT_PREFIX)))
    throw new FormatError(`${WHERE}: '${bare}' does not begin with '${PEFT_PREFIX}' as others do`);
  return 0;
}

/** A layer's alpha and scale as the config has them, or without one as the file or the caller. @throws FormatError where they contradict each other */
function strengths(
  config: PeftConfig | null,
  alphas: ReadonlyMap<string, number>,
  given: number | null,
): (path: string, rank: number, A: LoraArray) => Strength {
  if (config === null) return (path, rank) => strengthOf(alphas.get(path) ?? given, rank);
  const settings = layerReader('adapter_config.json', config);
  return (path, rank, A) => {
    const { r, alpha, scale } = settings(path);
    if (rank !== r)
      throw new FormatError(
        `${WHERE}: '${path}' has A [${A.shape.join(', ')}], expected the config's rank ${r} first`,
      );
    const beside = alphas.get(path);
    if (beside !== undefined && beside !== Math.fround(alpha))
      throw new FormatError(
        `${WHERE}: the file's alpha of '${path}' is ${beside}, expected ${alpha} as adapter_config.json has it`,
      );
    return { alpha, scale };
  };
}

function sortTensors(file: SafetensorsFile, skip: number, config: PeftConfig | null) {
  const factors = new FactorTable(WHERE);
  const kinds = new Map<string, LoraKind>();
  const extras: ExtraTensor[] = [];
  for (const name of file.names) {
    const found = partOfKey(name.slice(skip));
    const { shape } = file.info(name);
    const kind = found?.embedding ? 'embedding' : kindOfRank(shape.length);
    const half = found?.part === 'A' || found?.part === 'B' ? found.part : null;
    if (found === null || half === null || kind === null) {
      extras.push({ name, kind: extraKind(name.slice(skip), config), tensor: extraTensor(file, name) });
      continue;
    }
    factors.add(found.path, half, { shape, data: file.f32(name) });
    kinds.set(found.path, kind);
  }
  return { factors, kinds, extras };
}

/** A tensor as it is written again: half floats were widened, and are written as float32. */
export function extraTensor(file: SafetensorsFile, name: string): WritableTensor {
  const { shape, dtype } = file.info(name);
  const data = file.array(name);
  return data instanceof Float32Array ? { shape, data } : { shape, data, dtype };
}

function kindOfRank(dimensions: number): LoraKind | null {
  return dimensions === 2 ? 'linear' : dimensions === 4 ? 'conv2d' : null;
}

function extraKind(key: string, config: PeftConfig | null): ExtraKind {
  const part = partOfKey(key)?.part;
  if (part === 'magnitude') return 'magnitude';
  if (part === 'bias') return 'lora_bias';
  const place = placeOfKey(key);
  if (place === 'original') return 'base';
  if (liesInSaved(key.split('.').slice(0, -1), config?.modulesToSave ?? [])) return 'saved';
  return place === 'bias' ? 'bias' : place === 'wrapped' ? 'base' : 'unknown';
}

/** Whether a module, or one that it lies in, has a name that ends with an entry: those PEFT saves whole. */
function liesInSaved(module: readonly string[], entries: readonly string[]): boolean {
  const names = module.map((_, i) => module.slice(0, i + 1).join('.'));
  return entries.some((entry) => names.some((name) => name.endsWith(entry)));
}
