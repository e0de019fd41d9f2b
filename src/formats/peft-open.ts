/** PEFT's two files, opened: the one road to them, for `readPeft` and for a model that loads them. What their keys mean says peft-keys.ts. */
import type { PeftConfig } from './peft-config.js';
import { readPeftConfig } from './peft-config-read.js';
import { readSafetensors, type SafetensorsFile } from './safetensors-read.js';

/** What a PEFT adapter is read from. */
export interface PeftSource {
  /** `adapter_config.json`: text, bytes or the parsed object; null when there is none, and then alpha is unknown. */
  readonly config: string | object | Uint8Array | null;
  /** `adapter_model.safetensors`. */
  readonly weights: Uint8Array | ArrayBuffer;
}

/** Both files, checked; values are read when they are asked for. */
export interface OpenPeft<Config = PeftConfig | null> {
  readonly config: Config;
  readonly tensors: SafetensorsFile;
  /** Fields of the config that were not used. */
  readonly warnings: readonly string[];
}

/** @throws FormatError for what is no adapter of PEFT's, TypeError; they begin with `where` */
export function openPeft(
  where: string,
  source: PeftSource & { readonly config: string | object },
): OpenPeft<PeftConfig>;
export function openPeft(where: string, source: PeftSource): OpenPeft;
export function openPeft(where: string, { config: given, weights }: PeftSource): OpenPeft {
  const { config, warnings } = given === null ? { config: null, warnings: [] } : readPeftConfig(where, given);
  return { config, tensors: readSafetensors(where, weights), warnings };
}
