/** Opens what a model is loaded from, by its kind: a file, or the files of a folder. Called by `load-model.ts` and the command. */
import { wrongType } from '../../formats/check.js';
import { type ByteSource, openSource } from '../../formats/source.js';
import { isBlob, isMap, urlOf } from '../../values/kind.js';
import { openGgufModel } from './gguf-source.js';
import { openHfModel } from './hf-source.js';
import type { ModelSource } from './model-source.js';

/** @throws FormatError, TypeError; errors of the source */
export async function openModel(where: string, source: unknown): Promise<ModelSource> {
  if (isMap(source)) {
    for (const name of source.keys())
      if (typeof name !== 'string') throw wrongType(`${where}: a name of source`, name, 'strings');
    return openHfModel(where, source as ReadonlyMap<string, ByteSource>);
  }
  const named = nameOf(source);
  const file = named === '' ? where : `${where}: ${named}`;
  return openGgufModel(file, await openSource(file, source as ByteSource));
}

/** What a file is called: a File's name, a URL without its query, which may hold a token. */
function nameOf(source: unknown): string {
  const url = urlOf(source);
  if (url !== null) return url.protocol === 'file:' ? url.pathname : `${url.origin}${url.pathname}`;
  return isBlob(source) && 'name' in source && typeof source.name === 'string' ? source.name : '';
}
