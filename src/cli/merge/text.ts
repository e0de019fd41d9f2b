/** Tokenizer and chat template of a merged model, as transformers reads them: a folder's own, or made out of a GGUF header. `command.ts` calls it. */
import type { ModelSource } from '../../models/source/model-source.js';
import { jsonOfGguf } from '../../models/text/gguf-tokenizer.js';
import type { AddedToken, TokenizerJson } from '../../models/text/tokenizer-json.js';
import { isPlainObject } from '../../values/kind.js';

const COPIED = ['tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja', 'generation_config.json'];

/** Files by name; none where the model has no tokenizer. @throws FormatError for a tokenizer that is not rebuilt */
export function textFiles(path: string, { metadata, texts }: ModelSource): Map<string, string> {
  if (metadata === null)
    return new Map(
      COPIED.flatMap((name): [string, string][] => (texts.has(name) ? [[name, texts.get(name)!]] : [])),
    );
  if (!metadata.has('tokenizer.ggml.model')) return new Map();
  const { json, special } = jsonOfGguf(path, metadata);
  const template = metadata.get('tokenizer.chat_template');
  const config = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    ...Object.fromEntries(special),
    clean_up_tokenization_spaces: false,
    ...(typeof template === 'string' ? { chat_template: template } : {}),
  };
  const files = new Map([
    ['tokenizer.json', JSON.stringify(complete(json))],
    ['tokenizer_config.json', `${JSON.stringify(config, null, 2)}\n`],
  ]);
  if (typeof template === 'string') files.set('chat_template.jinja', template);
  return files;
}

/** With the fields that Python's `tokenizers` does not do without. */
function complete({ model, added_tokens: added, ...rest }: TokenizerJson): Record<string, unknown> {
  const { type, ...own } = model;
  return {
    ...{ version: '1.0', truncation: null, padding: null, added_tokens: added },
    normalizer: rest.normalizer,
    pre_tokenizer: rest.pre_tokenizer,
    post_processor: withIds(rest.post_processor, added),
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      ...{ type, dropout: null, unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null },
      ...{ fuse_unk: false, byte_fallback: false, ...own },
    },
  };
}

/** A template names its special tokens a second time, with their ids. */
function withIds(processor: unknown, added: readonly AddedToken[]): unknown {
  if (!isPlainObject(processor)) return processor;
  const named = JSON.stringify(processor);
  const used = added.filter(({ content }) => named.includes(JSON.stringify(content)));
  const tokens = used.map(({ content, id }) => [content, { id: content, ids: [id], tokens: [content] }]);
  return { ...processor, special_tokens: Object.fromEntries(tokens) };
}
