/** Reading a PEFT adapter into the neutral description. Keys are taken apart by their ends, never by replacing text. */

import { layerReader } from '../patterns/rules.js';
import { checkOptions } from '../values/checks.js';
import { FormatError } from '../values/format-error.js';
import { checkAlpha, checkObject } from './check.js';
import { alphasBeside, withLayers } from './factors.js';
import {
  bothHalves,
  type ExtraKind,
  type ExtraTensor,
  type Halves,
  type LoraFile,
  type LoraKind,
  loraModule,
} from './lora-file.js';
import type { PeftConfig } from './peft-config.js';
import { readPeftConfig } from './peft-config-read.js';
import { PEFT_PREFIX, partOfKey } from './peft-keys.js';
import { readSafetensors, type SafetensorsFile } from './safetensors-read.js';
import type { WritableTensor } from './safetensors-write.js';
import { strengthOf } from './strength.js';

const WHERE = 'readPeft';

/** What a PEFT adapter is read from. */
export interface PeftSource {
  /** `adapter_config.json`: text, bytes or the parsed object; null when there is none, and then alpha is unknown. */
  readonly config: string | object | Uint8Array | null;
  /** `adapter_model.safetensors`. */
  readonly weights: Uint8Array | ArrayBuffer;
}

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
  const file = readSafetensors(WHERE, source.weights);
  const { config, warnings } =
    source.config === null ? { config: null, warnings: [] } : readPeftConfig(WHERE, source.config);
  if (config !== null && options.alpha !== undefined)
    throw new FormatError(
      `${WHERE}: alpha ${options.alpha} was given, but adapter_config.json has its own, expected none`,
    );
  const prefixed = file.names.filter((name) => name.startsWith(PEFT_PREFIX)).length;
  if (prefixed > 0 && prefixed < file.names.length)
    throw new FormatError(
      `${WHERE}: '${file.names.find((name) => !name.startsWith(PEFT_PREFIX))}' does not begin with '${PEFT_PREFIX}' as others do`,
    );
  const unprefixed =
    prefixed === 0 && file.names.length > 0
      ? [`${WHERE}: keys do not begin with '${PEFT_PREFIX}', and PEFT would not apply them; read as they are`]
      : [];
  const skip = prefixed > 0 ? PEFT_PREFIX.length : 0;
  const { factors, extras: others } = sortTensors(file, skip, config);
  const paths = [...factors.keys()];
  const { alphas, extras } = alphasBeside(WHERE, file, others, paths, { skip, given: options.alpha });
  const settings = config === null ? null : layerReader('adapter_config.json', config);
  const modules = [...factors].map(([path, { kind, halves }]) => {
    const pair = bothHalves(WHERE, path, halves);
    if (settings === null)
      return loraModule(WHERE, path, kind, pair, (r) =>
        strengthOf(alphas.get(path) ?? options.alpha ?? null, r),
      );
    const { r, alpha, scale } = settings(path);
    if (pair.A.shape[0] !== r)
      throw new FormatError(
        `${WHERE}: '${path}' has A [${pair.A.shape.join(', ')}], expected the config's rank ${r} first`,
      );
    const beside = alphas.get(path);
    if (beside !== undefined && beside !== Math.fround(alpha))
      throw new FormatError(
        `${WHERE}: the file's alpha of '${path}' is ${beside}, expected ${alpha} as adapter_config.json has it`,
      );
    return loraModule(WHERE, path, kind, pair, () => ({ alpha, scale }));
  });
  return {
    format: 'peft',
    modules,
    extras: withLayers(extras, paths, skip),
    config,
    warnings: [...warnings, ...unprefixed],
  };
}

interface Factors {
  readonly kind: LoraKind;
  readonly halves: Halves;
}

function sortTensors(file: SafetensorsFile, skip: number, config: PeftConfig | null) {
  const factors = new Map<string, Factors>();
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
    const halves: Halves = factors.get(found.path)?.halves ?? {};
    if (halves[half] !== undefined)
      throw new FormatError(`${WHERE}: '${found.path}' has two tensors ${half}, expected one`);
    halves[half] = { shape, data: file.f32(name) };
    factors.set(found.path, { kind, halves });
  }
  return { factors, extras };
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
  const segments = key.split('.');
  if (segments.includes('original_module')) return 'base';
  if (liesInSaved(segments.slice(0, -1), config?.modulesToSave ?? [])) return 'saved';
  if (segments.at(-1) === 'bias') return 'bias';
  return segments.at(-2) === 'base_layer' && segments.at(-1) === 'weight' ? 'base' : 'unknown';
}

/** Whether a module, or one that it lies in, has a name that ends with an entry: those PEFT saves whole. */
function liesInSaved(module: readonly string[], entries: readonly string[]): boolean {
  const names = module.map((_, i) => module.slice(0, i + 1).join('.'));
  return entries.some((entry) => names.some((name) => name.endsWith(entry)));
}
