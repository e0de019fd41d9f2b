/** Right calls of language models, their text and rows of tokens. */
import { createHash } from 'node:crypto';
import { tinyFolder, tinyGguf } from '../../tiny-model.js';
import type { World } from '../world.js';
import { type Calls, options } from './options.js';

export const GGUF_BYTES = tinyGguf();

export const GGUF = new Blob([GGUF_BYTES]);

export const SHA256 = createHash('sha256').update(GGUF_BYTES).digest('hex');

/** Those of language models. */
export function languageModels({ rt, objects }: World): Calls {
  const t = objects.byName;
  const { signal } = new AbortController();
  const sampling = { temperature: 0.5, topK: 4, topP: 0.9, repetitionPenalty: 1.1, seed: 1 };
  const writing = { ...sampling, maxTokens: 2, stopIds: [2], signal };
  const lm = (): object => ({ model: t.speaker, tokenizer: t.words, chat: t.chat, stopIds: [2], config: {} });
  return {
    loadModel: () => [
      [
        rt,
        GGUF,
        options({
          weights: 'f16',
          maxLength: 8,
          tokenizer: null,
          onProgress: () => {},
          signal,
          cache: 'kept',
          sha256: SHA256,
        }),
      ],
      [rt, tinyFolder(), { weights: 'stored' }],
    ],
    'CausalLM.forward': () => [[t.prompt], [t.prompt, new Int32Array(3), Int32Array.of(0, 1, 2)]],
    'CausalLM.hidden': () => [[t.prompt], [t.prompt, new Int32Array(3), Int32Array.of(0, 1, 2)]],
    'CausalLM.cache': () => [[4], [4, 2]],
    'CausalLM.decode': () => [[t.prompt, t.cache]],
    'KvCache.truncate': () => [[0]],
    causalLoss: () => [
      [t.speaker, t.prompt, Int32Array.of(-100, 1, 4), options({ starts: new Int32Array(3) })],
    ],
    generate: () => [[t.speaker, [1, 2], options(writing)]],
    generateText: () => [[lm(), 'ab', options({ ...writing, stop: ['x'], skipSpecialTokens: true })]],
    meanLoss: () => [[t.speaker, [[1, 2], { ids: [1, 2], labels: [-100, 2] }]]],
    ...rowCalls(t),
    'new TextStream': () => [[t.words, true]],
    'TextStream.push': () => [[5]],
    'new ChatTemplate': () => [['{{ bos_token }}', new Map([['bos_token', 'x']])]],
    'ChatTemplate.render': () => [
      [[{ role: 'user', content: 'a' }], options({ addGenerationPrompt: false })],
    ],
    'TextTokenizer.encode': () => [['ab', options({ addSpecialTokens: false })]],
    'TextTokenizer.decode': () => [[[4, 5], options({ skipSpecialTokens: true })]],
    'TextTokenizer.idOf': () => [['a']],
    'TextTokenizer.tokenOf': () => [[4]],
  };
}

/** Those of rows of tokens. */
export function rowCalls(t: Readonly<Record<string, object>>): Calls {
  const text = '{"prompt":"ab","completion":"ba"}';
  const row = { ids: Int32Array.of(3, 4), labels: Int32Array.of(-100, 4) };
  // Errors begin with the name that is asked for.
  const asked = { format: 'prompt', maxLength: 8, maskPrompt: false, name: 'parseRows', onWarning: () => {} };
  return {
    parseRows: () => [[text, options({ tokenizer: t.words, chat: t.chat, ...asked })]],
    packRows: () => [[[row, row], 3]],
    joinRows: () => [[[row]], [[{ ...row, starts: new Int32Array(2), positions: Int32Array.of(0, 1) }]]],
  };
}
