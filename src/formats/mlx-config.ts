/** mlx-lm's `adapter_config.json`: what of it says how strong the adapter is, and which of the file's layers are used. */

import { FormatError } from '../values/format-error.js';
import { bytesOf } from './check.js';
import { decodeUtf8, type Json, JsonNumber, parseJson, showJson } from './json.js';
import { isFiniteFloat } from './strength.js';

export interface MlxConfig {
  /** What the product of the factors is multiplied by, whatever the rank. */
  readonly scale: number;
  /** Whether every layer has a magnitude. */
  readonly dora: boolean;
  /** How many blocks, from the last, are adapted; null for all. */
  readonly layers: number | null;
  /** Names of the layers, in a block or whole; null where mlx-lm chooses by the model. */
  readonly keys: ReadonlySet<string> | null;
}

/** @throws FormatError for another kind of training, and for fields that contradict each other */
export function parseMlxConfig(where: string, config: string | Uint8Array): MlxConfig {
  const root = parseJson(
    where,
    typeof config === 'string' ? config : decodeUtf8(where, bytesOf(where, config)),
  );
  const type = root instanceof Map ? (root.get('fine_tune_type') ?? 'lora') : null;
  if (!(root instanceof Map) || (type !== 'lora' && type !== 'dora'))
    throw new FormatError(`${where}: fine_tune_type is ${showJson(type)}, expected "lora" or "dora"`);
  const parameters = root.get('lora_parameters');
  const scale = parameters instanceof Map ? parameters.get('scale') : null;
  if (!(parameters instanceof Map) || !(scale instanceof JsonNumber) || !isFiniteFloat(scale.value))
    throw new FormatError(`${where}: lora_parameters.scale is no finite number, expected one`);
  checkAlpha(where, parameters);
  return {
    scale: scale.value,
    // Before fine_tune_type there was a flag.
    dora: type === 'dora' || root.get('use_dora') === true,
    layers: layersOf(where, root.get('num_layers') ?? root.get('lora_layers') ?? null),
    keys: keysOf(where, parameters.get('keys') ?? null),
  };
}

/** Versions up to 0.19 multiplied by alpha/rank too, later ones do not look at it. @throws FormatError where that differs */
function checkAlpha(where: string, parameters: ReadonlyMap<string, Json>): void {
  const [alpha = null, rank] = [parameters.get('alpha'), parameters.get('rank')];
  if (alpha === null) return;
  if (!(alpha instanceof JsonNumber) || !(rank instanceof JsonNumber) || alpha.value !== rank.value)
    throw new FormatError(
      `${where}: lora_parameters.alpha is ${showJson(alpha)}, which mlx-lm's versions read differently; expected none, or the rank`,
    );
}

function layersOf(where: string, value: Json): number | null {
  if (value === null) return null;
  const count = value instanceof JsonNumber ? value.integer : null;
  if (count === null)
    throw new FormatError(`${where}: num_layers is ${showJson(value)}, expected an integer`);
  return count > 0 ? count : null;
}

function keysOf(where: string, value: Json): ReadonlySet<string> | null {
  if (value === null) return null;
  const wrong = Array.isArray(value) ? value.find((key) => typeof key !== 'string') : value;
  if (!Array.isArray(value) || wrong !== undefined)
    throw new FormatError(
      `${where}: lora_parameters.keys has ${showJson(wrong)}, expected an array of names`,
    );
  return new Set(value.map(String));
}

/** Layers of the file that mlx-lm would leave alone are an error: as they stand here they would act. @throws FormatError */
export function checkUsed(where: string, { layers, keys }: MlxConfig, paths: readonly string[]): void {
  const unnamed = keys === null ? undefined : paths.find((path) => !isNamed(keys, path));
  if (unnamed !== undefined)
    throw new FormatError(`${where}: lora_parameters.keys does not name '${unnamed}', expected it to`);
  if (layers === null) return;
  const blocks = paths.flatMap((path) => /\.(\d+)\./.exec(`.${path}`)?.slice(1).map(Number) ?? []);
  const span = blocks.reduce(
    ({ first, last }, block) => ({ first: Math.min(first, block), last: Math.max(last, block) }),
    { first: Number.POSITIVE_INFINITY, last: Number.NEGATIVE_INFINITY },
  );
  if (span.last - span.first + 1 > layers)
    throw new FormatError(
      `${where}: num_layers is ${layers}, and the file has layers of blocks ${span.first} to ${span.last}, expected no more blocks`,
    );
}

/** Whether a layer is named whole, or by what follows its block's number. */
function isNamed(keys: ReadonlySet<string>, path: string): boolean {
  const segments = path.split('.');
  return (
    keys.has(path) ||
    segments.some((segment, i) => /^\d+$/.test(segment) && keys.has(segments.slice(i + 1).join('.')))
  );
}
