/** The adapters that `--adapter` names: read before the model is, and put over it. `run-model.ts` calls it. */
import type { LoraFile } from '../formats/lora-file.js';
import { readAdapter } from '../formats/read-adapter.js';
import { LoraModel } from '../lora/lora-model.js';
import type { CausalLM } from '../models/causal-lm.js';
import type { LanguageModel } from '../models/load-model.js';
import { kindOf, readInput } from './files.js';
import type { AdapterFlag } from './model-options.js';
import { ofFile } from './name-errors.js';

/** An adapter, read. */
interface ReadAdapter {
  readonly source: LoraFile | { readonly config: string; readonly weights: Uint8Array };
  /** Its files' paths, for messages. */
  readonly weights: string;
  readonly config: string | null;
  readonly scale: number;
}

/** @throws UserError, FormatError; file system errors */
export async function readAdapters(flags: readonly AdapterFlag[]): Promise<ReadAdapter[]> {
  const found: ReadAdapter[] = [];
  for (const flag of flags) {
    const { path, scale } = await placeOf(flag);
    const { bytes, weights, config } = await readInput(path, '--adapter');
    const source = await ofFile(weights, config, async () => {
      const file = await readAdapter(bytes);
      const peft = file.format === 'peft' && bytes.config !== null;
      return peft ? { config: new TextDecoder().decode(bytes.config!), weights: bytes.weights } : file;
    });
    found.push({ source, weights, config, scale });
  }
  return found;
}

/** What stands behind a colon is of the name where only the whole is there: `run-12:30`. */
async function placeOf({ text, path, scale }: AdapterFlag): Promise<{ path: string; scale: number }> {
  const whole = text !== path && (await kindOf(path)) === null && (await kindOf(text)) !== null;
  return whole ? { path: text, scale: 1 } : { path, scale };
}

/** Puts them over the model, all of them active. @throws FormatError for one that does not fit the model; OutOfMemoryError */
export async function addAdapters(
  { model }: LanguageModel,
  adapters: readonly ReadAdapter[],
): Promise<LoraModel<CausalLM> | null> {
  if (adapters.length === 0) return null;
  const lora = LoraModel.attach(model);
  const names: string[] = [];
  for (const [i, { source, weights, config, scale }] of adapters.entries()) {
    const name = `adapter_${i + 1}`;
    await ofFile(weights, config, () => lora.loadAdapter(name, source, { trainable: false }));
    lora.setScale(name, scale);
    names.push(name);
  }
  lora.setAdapter(names);
  return lora;
}
