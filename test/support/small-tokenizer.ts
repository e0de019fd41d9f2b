/** A byte-level tokenizer of 700 tokens, as a GGUF header and as `tokenizer.json`. The first three tokens are special. */
import { TOKENIZERS } from '../golden-support/random-texts.js';

const { tokens, merges } = TOKENIZERS;
const SPECIAL = 3;
const [CONTROL, NORMAL] = [3, 1];

/** Metadata of a GGUF file; `over` replaces entries, or takes them out where undefined. */
export function smallHeader(
  pre: string,
  over: Readonly<Record<string, unknown>> = {},
): ReadonlyMap<string, unknown> {
  const fields: Record<string, unknown> = {
    ...{ model: 'gpt2', pre, tokens: [...tokens], merges: [...merges] },
    token_type: tokens.map((_, id) => (id < SPECIAL ? CONTROL : NORMAL)),
    ...{ bos_token_id: 1, eos_token_id: 2 },
    ...over,
  };
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return new Map(entries.map(([name, value]) => [`tokenizer.ggml.${name}`, value]));
}

/** The text of a `tokenizer.json` with that pre-tokenizer. */
export function smallJson(preTokenizer: unknown, over: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({
    model: {
      ...{ type: 'BPE', unk_token: null, byte_fallback: false },
      ...{ vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges },
    },
    added_tokens: tokens.slice(0, SPECIAL).map((content, id) => ({ id, content, special: true })),
    ...{ normalizer: null, post_processor: null, pre_tokenizer: preTokenizer },
    decoder: { type: 'ByteLevel' },
    ...over,
  });
}
