/** Opens what a model is loaded from, by its kind: a GGUF file, or a folder of transformers. Called by `load-model.ts` and the command. */
import { type OpenOptions, openFiles } from './files.js';
import { openGgufModel } from './gguf-source.js';
import { openHfModel } from './hf-source.js';
import type { ModelSource } from './model-source.js';

/** @throws FormatError, TypeError; errors of the source */
export async function openModel(
  where: string,
  source: unknown,
  options: OpenOptions = {},
): Promise<ModelSource> {
  const found = await openFiles(where, source, options);
  return 'file' in found ? openGgufModel(found.where, found.file) : openHfModel(found);
}
