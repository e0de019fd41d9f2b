/** Telling whose adapter some files are, and reading it. */

import { checkOptions } from '../values/checks.js';
import { FormatError } from '../values/format-error.js';
import { bytesOf, checkAlpha, checkBase, checkObject, field, underAsync } from './check.js';
import { factorOf } from './factor-names.js';
import type { GgufBase } from './gguf-base.js';
import { readGguf } from './gguf-lora.js';
import { decodeUtf8, parseJson } from './json.js';
import { readKohya } from './kohya.js';
import type { AdapterFormat, LoraFile } from './lora-file.js';
import { readLoralib } from './loralib.js';
import { readMlx } from './mlx.js';
import { partOfKey } from './peft-keys.js';
import { type ReadOptions, readPeft } from './peft-read.js';
import { readSafetensors } from './safetensors-read.js';

/** An adapter's files as they were found. */
export interface AdapterBytes {
  /** The safetensors or GGUF file. */
  readonly weights: Uint8Array;
  /** `adapter_config.json`, where there is one. */
  readonly config: Uint8Array | null;
}

/** Whose adapter it is: GGUF by its first bytes, MLX and PEFT by the config, the rest by tensor names. @throws FormatError */
export function detectFormat(input: AdapterBytes): AdapterFormat {
  const where = 'detectFormat';
  const { weights, config } = checkInput(where, input);
  if (String.fromCharCode(...weights.subarray(0, 4)) === 'GGUF') return 'gguf';
  const { names } = readSafetensors(where, weights);
  const some = (format: 'kohya' | 'loralib' | 'mlx'): boolean =>
    names.some((name) => factorOf(format, name) !== null);
  if (some('kohya')) return 'kohya';
  if (config !== null) {
    const root = parseJson(
      `${where}: adapter_config.json`,
      decodeUtf8(`${where}: adapter_config.json`, config),
    );
    if (root instanceof Map && root.has('peft_type')) return 'peft';
    if (root instanceof Map && root.has('lora_parameters')) return 'mlx';
    throw new FormatError(`${where}: adapter_config.json has neither peft_type nor lora_parameters`);
  }
  if (names.some(isPeftFactor)) return 'peft';
  if (some('loralib')) return 'loralib';
  if (some('mlx'))
    throw new FormatError(`${where}: MLX's adapter_config.json is missing, expected it beside the weights`);
  throw new FormatError(`${where}: no tensor has a name of a LoRA factor, expected an adapter`);
}

function isPeftFactor(name: string): boolean {
  const part = partOfKey(name)?.part;
  return part === 'A' || part === 'B';
}

/**
 * Reads an adapter of any of the formats.
 * @param options - `alpha` for a file without one; `base`, the model of a GGUF adapter
 * @throws FormatError
 */
export async function readAdapter(
  input: AdapterBytes,
  options: ReadOptions & { readonly base?: GgufBase | null } = {},
): Promise<LoraFile> {
  const where = 'readAdapter';
  checkOptions(where, options, ['alpha', 'base']);
  checkAlpha(where, options.alpha);
  checkBase(where, options.base);
  const bytes = checkInput(where, input);
  return underAsync(where, () => read(bytes, options));
}

/** Bytes of any realm. @throws TypeError */
export function checkInput(where: string, input: unknown): AdapterBytes {
  checkObject(`${where}: input`, input, 'weights and config');
  const config = field(input, 'config') ?? null;
  return {
    weights: bytesOf(`${where}: weights`, field(input, 'weights')),
    config: config === null ? null : bytesOf(`${where}: config`, config),
  };
}

async function read(
  input: AdapterBytes,
  options: ReadOptions & { readonly base?: GgufBase | null },
): Promise<LoraFile> {
  const format = detectFormat(input);
  const { weights, config } = input;
  const alpha = options.alpha === undefined ? {} : { alpha: options.alpha };
  if (format === 'peft') return readPeft({ config, weights }, alpha);
  if (format === 'loralib') return readLoralib(weights, alpha);
  if (options.alpha !== undefined)
    throw new FormatError(
      `readAdapter: alpha ${options.alpha} was given, but a ${format} adapter has its own scale, expected none`,
    );
  if (format === 'kohya') return readKohya(weights);
  if (format === 'gguf') return readGguf(weights, { base: options.base ?? null });
  return readMlx({ config: config ?? new Uint8Array(0), weights });
}
