/** The cases of `smollm2/` that need no weights: token ids of texts and chats as text, by what stands in the model's header. */
import { expect } from 'vitest';
import { openGguf } from '../../src/formats/gguf-file.js';
import { type ChatMessage, ChatTemplate } from '../../src/models/text/chat-template.js';
import { TextTokenizer } from '../../src/models/text/text-tokenizer.js';
import { goldenJson } from './files.js';
import { differing, TOKENIZERS } from './random-texts.js';
import { MODEL_URL } from './smollm2.js';

interface Tokens {
  readonly texts: readonly { readonly text: string; readonly ids: readonly number[] }[];
  readonly chats: readonly {
    readonly messages: readonly ChatMessage[];
    readonly add_generation_prompt: boolean;
    readonly text: string;
  }[];
}

async function metadata(): Promise<ReadonlyMap<string, unknown>> {
  return (await openGguf('the model', MODEL_URL)).metadata;
}

/** Golden texts and random ones to ids, and the golden ones back. */
export async function checkTokens(): Promise<void> {
  const tokenizer = TextTokenizer.fromGguf(await metadata());
  const encode = (text: string): number[] => tokenizer.encode(text, { addSpecialTokens: false });
  const { texts } = goldenJson<Tokens>('smollm2/tokens.json');
  expect(texts.length).toBeGreaterThan(0);
  for (const { text, ids } of texts) {
    expect(encode(text), JSON.stringify(text)).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(text);
  }
  expect(differing(encode, TOKENIZERS.smollm2)).toEqual([]);
}

export async function checkChats(): Promise<void> {
  const header = await metadata();
  const chat = new ChatTemplate(
    String(header.get('tokenizer.chat_template')),
    TextTokenizer.fromGguf(header).special,
  );
  const { chats } = goldenJson<Tokens>('smollm2/tokens.json');
  expect(chats.length).toBeGreaterThan(0);
  for (const { messages, add_generation_prompt: addGenerationPrompt, text } of chats)
    expect(chat.render(messages, { addGenerationPrompt })).toBe(text);
}
