/**
 * How a text is cut before pairs are merged: the table of GGUF's `tokenizer.ggml.pre`, and forms of `tokenizer.json` put into
 * those that every engine takes alike. `gguf-tokenizer.ts` and `tokenizer-json.ts` call it.
 */
import { isPlainObject } from '../../values/kind.js';

/** A part of `tokenizer.json`. */
export type JsonPart = Readonly<Record<string, unknown>>;

/** What the cut and the merges of a `pre` are. */
export interface PreTokenizer {
  readonly cut: JsonPart;
  readonly normalizer: JsonPart | null;
  /** Whether a piece that is a token stays one, whatever the merges would make of it. */
  readonly ignoreMerges: boolean;
  /** Whether a text begins with the first special token where the file does not say. */
  readonly addBos: boolean;
}

const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const WORDS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";
const REST = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

const split = (regex: string): JsonPart => ({
  ...{ type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false },
});
const BYTES: JsonPart = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false };
const sequence = (...parts: JsonPart[]): JsonPart => ({ type: 'Sequence', pretokenizers: parts });

const plain = { normalizer: null, ignoreMerges: false, addBos: false };
const digitsThenWords = sequence(split('\\p{N}'), split(GPT2), BYTES);

/** The cuts that are held against Python's `tokenizers`. */
const TABLE: Readonly<Record<string, PreTokenizer>> = {
  'gpt-2': { ...plain, cut: sequence(split(GPT2), BYTES) },
  smollm: { ...plain, cut: digitsThenWords },
  'llama-bpe': {
    ...{ normalizer: null, ignoreMerges: true, addBos: true },
    cut: sequence(split(`${WORDS}|\\p{N}{1,3}|${REST}`), BYTES),
  },
  qwen2: { ...plain, normalizer: { type: 'NFC' }, cut: sequence(split(`${WORDS}|\\p{N}|${REST}`), BYTES) },
};

/** The names that the table has. */
export const PRE_NAMES = Object.keys(TABLE).join(', ');

/** The cut of a `pre`; null for one that is not in the table. */
export function preTokenizer(pre: string): PreTokenizer | null {
  return Object.hasOwn(TABLE, pre) ? TABLE[pre]! : null;
}

/**
 * A pre-tokenizer in the same meaning, in forms whose classes are Unicode's: `\s` and `\d` of the engine are others than those
 * of Python's `tokenizers`.
 */
export function portableCut(part: unknown): unknown {
  if (!isPlainObject(part)) return part;
  if (part.type === 'Sequence' && Array.isArray(part.pretokenizers))
    return { ...part, pretokenizers: part.pretokenizers.map(portableCut) };
  if (part.type === 'Digits') return split(part.individual_digits === true ? '\\p{N}' : '\\p{N}+');
  const regex = part.type === 'ByteLevel' && part.use_regex !== false && part.add_prefix_space !== true;
  return regex ? sequence(split(GPT2), BYTES) : part;
}
