/**
 * Tokenizers as `tokenizer.json` describes them. The build puts what is used of the package into this file, of it what is
 * declared here and no more; `models/text/text-tokenizer.ts` calls it.
 */
import { Tokenizer as Whole } from '@huggingface/tokenizers';

export interface JsonTokenizer {
  encode(text: string, options: { readonly add_special_tokens: boolean }): { readonly ids: number[] };
  decode(ids: number[], options: { readonly skip_special_tokens: boolean }): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
}

/** @throws Error for a tokenizer that it does not know */
export const Tokenizer: new (tokenizer: object, config: object) => JsonTokenizer = Whole;
