/** `tokenizer.json` and `tokenizer_config.json`, checked as far as the library takes them for granted. `text-tokenizer.ts` calls it. */
import { describe } from '../../values/checks.js';
import { FormatError } from '../../values/format-error.js';
import { isPlainObject } from '../../values/kind.js';
import { objectOf } from '../source/fields.js';
import { portableCut } from './pre-tokenizers.js';

/** A token that is matched whole. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  readonly [option: string]: unknown;
}

/** What the library makes a tokenizer of. */
export interface TokenizerJson {
  readonly model: {
    readonly type: string;
    vocab: Readonly<Record<string, number>> | readonly unknown[];
    readonly merges: unknown[];
    readonly [option: string]: unknown;
  };
  readonly added_tokens: readonly AddedToken[];
  readonly normalizer: unknown;
  readonly pre_tokenizer: unknown;
  readonly post_processor: unknown;
  readonly decoder: unknown;
}

/** A tokenizer's description, and what is asked of it beside. */
export interface Built {
  readonly json: TokenizerJson;
  readonly config: Readonly<Record<string, unknown>>;
  readonly size: number;
  readonly special: ReadonlyMap<string, string>;
}

const ROLES = ['bos_token', 'eos_token', 'unk_token', 'pad_token', 'sep_token', 'cls_token', 'mask_token'];

/** Options of the library: spaces stay where the model put them. */
export const CONFIG = { clean_up_tokenization_spaces: false };

/** @throws FormatError */
export function builtFromJson(where: string, tokenizer: string, config: string | null): Built {
  const json = parsed(`${where}: tokenizer.json`, tokenizer);
  const fields = config === null ? {} : parsed(`${where}: tokenizer_config.json`, config);
  const { model, added_tokens: added = [] } = json;
  const fail = (what: string, expected: string): never => {
    throw new FormatError(`${where}: tokenizer.json: ${what}, expected ${expected}`);
  };
  if (!isPlainObject(model)) return fail('there is no model', 'one');
  const { vocab, merges = [], type = 'BPE' } = model;
  if (typeof type !== 'string') return fail('model.type is no text', 'one');
  if (!isVocabulary(vocab)) return fail('model.vocab is none', 'ids by token');
  if (!Array.isArray(merges) || !merges.every(isMerge))
    return fail('model.merges are none', 'pairs of tokens');
  if (!Array.isArray(added) || !added.every(isAdded))
    return fail('added_tokens are none', 'id and content of each');
  const own: TokenizerJson = {
    model: { ...model, type, vocab, merges },
    added_tokens: added,
    normalizer: json.normalizer ?? null,
    pre_tokenizer: portableCut(json.pre_tokenizer ?? null),
    post_processor: json.post_processor ?? null,
    decoder: json.decoder ?? null,
  };
  let size = 0;
  if (Array.isArray(vocab)) size = vocab.length;
  else for (const token in vocab) size = Math.max(size, (vocab as Record<string, number>)[token]! + 1);
  for (const { id } of added) size = Math.max(size, id + 1);
  return { json: own, config: CONFIG, size, special: rolesOf(fields) };
}

function parsed(where: string, text: string): Readonly<Record<string, unknown>> {
  if (typeof text !== 'string') throw new TypeError(`${where} is ${describe(text)}, expected its text`);
  return objectOf(where, text);
}

const isId = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** 24;

/** Ids by token; or, of Unigram models, pairs of token and score. */
function isVocabulary(value: unknown): value is Record<string, number> | unknown[] {
  if (Array.isArray(value))
    return value.every(
      (pair) => Array.isArray(pair) && typeof pair[0] === 'string' && typeof pair[1] === 'number',
    );
  return isPlainObject(value) && Object.values(value).every(isId);
}

function isMerge(value: unknown): boolean {
  if (typeof value === 'string') return value.includes(' ');
  return Array.isArray(value) && value.length === 2 && value.every((token) => typeof token === 'string');
}

function isAdded(value: unknown): value is AddedToken {
  return isPlainObject(value) && isId(value.id) && typeof value.content === 'string' && value.content !== '';
}

/** Special tokens by role; a role is a text, or an object with the text as `content`. */
function rolesOf(fields: Readonly<Record<string, unknown>>): Map<string, string> {
  const roles = new Map<string, string>();
  for (const role of ROLES) {
    const value = fields[role];
    const text = isPlainObject(value) ? value.content : value;
    if (typeof text === 'string') roles.set(role, text);
  }
  return roles;
}
