/** What of a model's files is text: its tokenizer, its chat template, and the tokens that end a text. `load-model.ts` calls it. */
import { decodeUtf8 } from '../../formats/json.js';
import type { ByteSource } from '../../formats/source.js';
import { FormatError } from '../../values/format-error.js';
import { objectOf } from '../source/fields.js';
import { type OpenOptions, openFiles } from '../source/files.js';
import type { ModelSource } from '../source/model-source.js';
import { ChatTemplate, templateOfFiles } from './chat-template.js';
import { HEADER_ROLES } from './gguf-tokenizer.js';
import { TextTokenizer } from './text-tokenizer.js';
import { builtFromJson } from './tokenizer-json.js';

/** Text in and out of a model. */
export interface ModelText {
  readonly tokenizer: TextTokenizer | null;
  readonly chat: ChatTemplate | null;
  readonly stopIds: readonly number[];
}

/** Arrays of a header that the tokenizer is made of, and that nothing else reads: some 20 MB. */
const ARRAYS = ['tokens', 'token_type', 'merges', 'scores'];
/** The ends of a text, of a turn and of a message. */
const ENDS = ['eos', 'eot', 'eom'];

/**
 * Reads it, and drops the header's arrays. Errors of the model's own files begin as those of the source.
 * @param where - the call, for a tokenizer that is given
 * @param given - a tokenizer, or where `tokenizer.json` lies; null for none; undefined for that of the model's files
 * @param options - by which `tokenizer.json` is fetched
 * @throws FormatError, TypeError; errors of the source
 */
export async function textOf(
  where: string,
  source: ModelSource,
  given: TextTokenizer | string | ByteSource | null | undefined,
  options: OpenOptions = {},
): Promise<ModelText> {
  const { metadata, texts, config } = source;
  const own =
    given instanceof TextTokenizer || given === null ? given : await read(where, source, given, options);
  for (const name of ARRAYS) metadata?.delete(`tokenizer.ggml.${name}`);
  const special = new Map(own?.special);
  const header = (name: string): unknown => metadata?.get(`tokenizer.ggml.${name}_token_id`);
  for (const [role, name] of Object.entries(HEADER_ROLES)) {
    const id = header(name);
    const token = typeof id === 'number' ? own?.tokenOf(id) : null;
    if (token != null && !special.has(role)) special.set(role, token);
  }
  const end = special.get('eos_token');
  const ends = [
    ...config.eosTokenIds,
    ...ENDS.map(header),
    ...generationEnds(source.where, texts.get('generation_config.json')),
    end === undefined ? null : own?.idOf(end),
  ].filter((id): id is number => typeof id === 'number');
  return { tokenizer: own, chat: chatOf(source, special), stopIds: [...new Set(ends)] };
}

async function read(
  where: string,
  { where: own, metadata, texts }: ModelSource,
  given: string | ByteSource | undefined,
  options: OpenOptions,
): Promise<TextTokenizer | null> {
  const config = texts.get('tokenizer_config.json') ?? null;
  if (given !== undefined) {
    const found = await openFiles(`${where}: tokenizer`, given, {
      ...options,
      expected: 'a tokenizer.json',
    });
    if (!('file' in found)) throw new TypeError(`${found.where} is a folder, expected a file tokenizer.json`);
    const text = decodeUtf8(found.where, await found.file.read(0, found.file.size));
    return new TextTokenizer(found.where, builtFromJson(found.where, text, config));
  }
  if (metadata !== null)
    return metadata.has('tokenizer.ggml.model') ? TextTokenizer.ofHeader(own, metadata) : null;
  const text = texts.get('tokenizer.json');
  if (text === undefined) return null;
  return new TextTokenizer(`${own}: tokenizer.json`, builtFromJson(own, text, config));
}

function chatOf(
  { where, metadata, texts }: ModelSource,
  special: ReadonlyMap<string, string>,
): ChatTemplate | null {
  const found =
    metadata === null
      ? templateOfFiles(
          where,
          texts.get('tokenizer_config.json') ?? null,
          texts.get('chat_template.jinja') ?? null,
        )
      : metadata.get('tokenizer.chat_template');
  if (typeof found !== 'string') return null;
  try {
    return new ChatTemplate(found, special);
  } catch (error) {
    // Who writes on from texts needs no template: it says what is wrong with it when it is asked for.
    if (!(error instanceof FormatError)) throw error;
    return new ChatTemplate('{{ raise_exception(why) }}', new Map([...special, ['why', error.message]]));
  }
}

/** Ends that `generation_config.json` names. */
function generationEnds(where: string, text: string | undefined): unknown[] {
  if (text === undefined) return [];
  const { eos_token_id: ends } = objectOf(`${where}: generation_config.json`, text);
  return Array.isArray(ends) ? ends : [ends];
}
