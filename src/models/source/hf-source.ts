/** A model in a folder as transformers writes it: `config.json`, safetensors in one file or in shards with an index, text files. */
import type { GgufDType } from '../../formats/ggml-types.js';
import { decodeUtf8 } from '../../formats/json.js';
import { openSafetensorsAs } from '../../formats/safetensors-open.js';
import type { RandomAccess } from '../../formats/source.js';
import { FormatError, listed } from '../../values/format-error.js';
import { isPlainObject } from '../../values/kind.js';
import { objectOf } from './fields.js';
import type { ModelFiles } from './files.js';
import { configFromHf } from './hf-config.js';
import type { ModelSource, StoredTensor } from './model-source.js';

const WHOLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
const TEXTS = [
  'tokenizer.json',
  'tokenizer_config.json',
  'chat_template.jinja',
  'generation_config.json',
] as const;
const TYPES: Readonly<Record<string, GgufDType>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' };
/** Buffers that older files hold and no model reads. */
const IGNORED = /\.rotary_emb\.inv_freq$/;

/** @throws FormatError; errors of the sources */
export async function openHfModel(files: ModelFiles): Promise<ModelSource> {
  const { where } = files;
  const text = async (name: string): Promise<string | null> => {
    const file = await files.open(name);
    return file === null ? null : decodeUtf8(`${where}: ${name}`, await file.read(0, file.size));
  };
  const configText = await text('config.json');
  if (configText === null) throw missing(files, 'config.json');
  const config = configFromHf(`${where}: config.json`, configText);
  const tensors = new Map<string, StoredTensor>();
  const indexText = await text(INDEX);
  const index = indexText === null ? null : indexOf(`${where}: ${INDEX}`, indexText);
  const shards = new Map<string, RandomAccess>();
  for (const name of index === null ? [WHOLE] : new Set(index.values())) {
    const file = await files.open(name);
    if (file === null) throw missing(files, name);
    shards.set(name, file);
  }
  for (const [name, file] of shards)
    await addTensors(`${where}: ${name}`, file, tensors, (tensor) =>
      index === null ? true : index.get(tensor) === name,
    );
  for (const [tensor, file] of index ?? [])
    if (!tensors.has(tensor) && !IGNORED.test(tensor))
      throw new FormatError(`${where}: ${INDEX}: tensor '${tensor}' is not in ${file}, expected it there`);
  const texts = new Map([['config.json', configText]]);
  for (const name of TEXTS) {
    const found = await text(name);
    if (found !== null) texts.set(name, found);
  }
  return { where, config, tensors, metadata: null, texts, labelOf: (name) => name };
}

function missing({ where, names }: ModelFiles, name: string): FormatError {
  const beside = names.length === 0 ? '' : `; there are ${listed(names)}`;
  return new FormatError(`${where}: there is no ${name}, expected one${beside}`);
}

async function addTensors(
  where: string,
  file: RandomAccess,
  tensors: Map<string, StoredTensor>,
  belongs: (name: string) => boolean,
): Promise<void> {
  const opened = await openSafetensorsAs(where, file);
  for (const name of opened.names) {
    if (IGNORED.test(name)) continue;
    if (!belongs(name) || tensors.has(name))
      throw new FormatError(
        `${where}: tensor '${name}' is not listed for this file, expected it in one file`,
      );
    const { dtype, shape } = opened.info(name);
    const type = TYPES[dtype];
    if (type === undefined)
      throw new FormatError(`${where}: tensor '${name}' is ${dtype}, expected F32, F16 or BF16`);
    const { begin, end } = opened.place(name);
    tensors.set(name, { where, label: name, type, shape, file, begin, end, pairedHeads: 0 });
  }
}

/** The shard of each tensor. @throws FormatError for a shard outside of the folder */
function indexOf(where: string, text: string): Map<string, string> {
  const { weight_map: map } = objectOf(where, text);
  if (!isPlainObject(map)) throw new FormatError(`${where}: weight_map is no object, expected one`);
  return new Map(
    Object.entries(map as object).map(([tensor, file]): [string, string] => {
      if (typeof file !== 'string' || !/^[^/\\:]+\.safetensors$/.test(file))
        throw new FormatError(
          `${where}: tensor '${tensor}' is in ${JSON.stringify(file)}, expected a file of this folder, *.safetensors`,
        );
      return [tensor, file];
    }),
  );
}
