/** A `gpt2` tokenizer out of a GGUF header, in the form of `tokenizer.json`. `text-tokenizer.ts` calls it. */
import { FormatError } from '../../values/format-error.js';
import { type JsonPart, PRE_NAMES, preTokenizer } from './pre-tokenizers.js';
import { type AddedToken, type Built, CONFIG } from './tokenizer-json.js';

/** ggml's numbers of token types: special tokens, and others that are matched whole. */
const CONTROL = 3;
const USER_DEFINED = 4;
const KEY = 'tokenizer.ggml.';
/** Special tokens by their roles in transformers, and what a header calls them. */
export const HEADER_ROLES = {
  bos_token: 'bos',
  eos_token: 'eos',
  unk_token: 'unknown',
  pad_token: 'padding',
};
const INSTEAD = "the model's tokenizer.json (option tokenizer of loadModel)";

/** @throws FormatError for another kind of tokenizer, and for arrays that do not fit each other */
export function jsonOfGguf(where: string, metadata: ReadonlyMap<string, unknown>): Built {
  const field = (name: string): unknown => metadata.get(`${KEY}${name}`);
  const shown = (name: string): string => {
    const value = field(name);
    return `${KEY}${name} is ${value === undefined ? 'not there' : `'${String(value)}'`}`;
  };
  if (field('model') === undefined)
    throw new FormatError(`${where}: the file holds no tokenizer (${KEY}model), expected ${INSTEAD}`);
  if (field('model') !== 'gpt2')
    throw new FormatError(`${where}: ${shown('model')}, expected 'gpt2', or ${INSTEAD}`);
  const pre = field('pre');
  const found = typeof pre === 'string' ? preTokenizer(pre) : null;
  if (found === null)
    throw new FormatError(`${where}: ${shown('pre')}, expected one of ${PRE_NAMES}, or ${INSTEAD}`);
  const tokens = texts(where, 'tokens', field('tokens'));
  const vocab = idsByToken(where, tokens);
  const roles = rolesOf(where, tokens, field);
  const ends = (key: string, absent: boolean): boolean => {
    const value = field(key) ?? absent;
    if (typeof value !== 'boolean') throw new FormatError(`${where}: ${shown(key)}, expected true or false`);
    return value;
  };
  const around = {
    first: ends('add_bos_token', found.addBos) ? roles.get('bos_token') : undefined,
    last: ends('add_eos_token', false) ? roles.get('eos_token') : undefined,
  };
  const model = {
    ...{ type: 'BPE', unk_token: null, ignore_merges: found.ignoreMerges },
    ...{ vocab, merges: pairs(where, texts(where, 'merges', field('merges')), vocab) },
  };
  const json = {
    model,
    added_tokens: addedTokens(where, tokens, field('token_type')),
    normalizer: found.normalizer,
    pre_tokenizer: found.cut,
    post_processor: template(around.first, around.last),
    decoder: { type: 'ByteLevel' },
  };
  return { json, config: CONFIG, size: tokens.length, special: roles };
}

function texts(where: string, name: string, value: unknown): readonly string[] {
  if (!Array.isArray(value) || !value.every((entry) => typeof entry === 'string'))
    throw new FormatError(`${where}: ${KEY}${name} is no array of texts, expected one`);
  return value;
}

/** Ids by token, in an object that has no other keys: `__proto__` is a token like others. */
function idsByToken(where: string, tokens: readonly string[]): Record<string, number> {
  const vocab: Record<string, number> = Object.create(null);
  for (const [id, token] of tokens.entries()) {
    const other = vocab[token];
    if (other !== undefined)
      throw new FormatError(
        `${where}: ${KEY}tokens ${other} and ${id} are the same, expected each once, or ${INSTEAD}`,
      );
    vocab[token] = id;
  }
  return vocab;
}

/**
 * Merges are written 'left right'; a token of theirs may not hold a space, which byte-level tokens never do. One that makes no token
 * is left out: llama.cpp takes what it made apart again, and a `tokenizer.json` may not have it.
 */
function pairs(
  where: string,
  merges: readonly string[],
  vocab: Readonly<Record<string, number>>,
): [string, string][] {
  return merges.flatMap((merge, i): [string, string][] => {
    const at = merge.indexOf(' ', 1);
    if (at < 1 || at === merge.length - 1)
      throw new FormatError(`${where}: ${KEY}merges ${i} is '${merge}', expected two tokens`);
    const [left, right] = [merge.slice(0, at), merge.slice(at + 1)];
    return [left, right, left + right].every((token) => vocab[token] !== undefined) ? [[left, right]] : [];
  });
}

function addedTokens(where: string, tokens: readonly string[], types: unknown): AddedToken[] {
  if (types === undefined) return [];
  if (!Array.isArray(types) || types.length !== tokens.length)
    throw new FormatError(
      `${where}: ${KEY}token_type is no array of ${tokens.length}, expected one for each token`,
    );
  return tokens.flatMap((content, id) => {
    const type: unknown = types[id];
    if ((type !== CONTROL && type !== USER_DEFINED) || content === '') return [];
    const whole = { single_word: false, lstrip: false, rstrip: false, normalized: false };
    return [{ id, content, special: type === CONTROL, ...whole }];
  });
}

function rolesOf(
  where: string,
  tokens: readonly string[],
  field: (name: string) => unknown,
): Map<string, string> {
  const roles = new Map<string, string>();
  for (const [role, name] of Object.entries(HEADER_ROLES)) {
    const id = field(`${name}_token_id`);
    if (id === undefined) continue;
    const token = typeof id === 'number' ? tokens[id] : undefined;
    if (token === undefined)
      throw new FormatError(
        `${where}: ${KEY}${name}_token_id is ${String(id)}, expected 0 to ${tokens.length - 1}`,
      );
    roles.set(role, token);
  }
  return roles;
}

/** What is put around a text. */
function template(first: string | undefined, last: string | undefined): JsonPart | null {
  if (first === undefined && last === undefined) return null;
  const special = (id: string | undefined): JsonPart[] =>
    id === undefined ? [] : [{ SpecialToken: { id, type_id: 0 } }];
  const single = [...special(first), { Sequence: { id: 'A', type_id: 0 } }, ...special(last)];
  return { type: 'TemplateProcessing', single, pair: single };
}
