/** Text to text over a tiny model with a tokenizer of its own: templates, ends, what is held back, what is refused. */
import { afterAll, describe, expect, test } from 'vitest';
import { createRuntime } from '../../src/index.js';
import {
  type ChatMessage,
  type GenerateTextOptions,
  generate,
  generateText,
  type LanguageModel,
  TextTokenizer,
} from '../../src/models/index.js';
import { FormatError } from '../../src/values/format-error.js';
import { smallHeader } from '../support/small-tokenizer.js';
import { loadTiny, tinyTokenizer } from '../support/tiny-golden.js';

const TEMPLATE = "{% for m in messages %}{{ m.role[0] + ':' + m.content + eos_token }}{% endfor %}";
const texts = {
  'tokenizer.json': tinyTokenizer(),
  'tokenizer_config.json': JSON.stringify({ eos_token: '</s>' }),
  'chat_template.jinja': TEMPLATE,
  'generation_config.json': '{"eos_token_id":[2,50]}',
};
const big = TextTokenizer.fromGguf(smallHeader('gpt-2'));
const rt = await createRuntime({ threads: 1 });
const lm = await loadTiny(rt, 200, texts);
const bare = await loadTiny(rt, 200);
afterAll(() => rt.dispose());

async function parts(
  prompt: string | ChatMessage[],
  options?: GenerateTextOptions,
  of: LanguageModel = lm,
): Promise<string[]> {
  const found: string[] = [];
  for await (const part of generateText(of, prompt, options)) found.push(part);
  return found;
}

async function idsAfter(ids: number[], maxTokens: number): Promise<number[]> {
  const found: number[] = [];
  for await (const id of generate(lm.model, ids, { maxTokens })) found.push(id);
  return found;
}

test('a loaded model brings its tokenizer, its template and its ends', () => {
  expect(lm.tokenizer?.size).toBe(101);
  expect(lm.chat?.render([{ role: 'user', content: 'Hi' }])).toBe('u:Hi</s>');
  expect(lm.stopIds).toEqual([2, 50]);
  expect([bare.tokenizer, bare.chat, bare.stopIds]).toEqual([null, null, [2]]);
});

test('parts are the text of the tokens, of a text and of messages', async () => {
  const tokenizer = lm.tokenizer!;
  const options = { maxTokens: 60, stopIds: [] };
  const plain = await idsAfter(tokenizer.encode('Once'), 60);
  expect((await parts('Once', options)).join('')).toBe(tokenizer.decode(plain));
  const chat = await idsAfter(tokenizer.encode('u:Once</s>'), 60);
  expect((await parts([{ role: 'user', content: 'Once' }], options)).join('')).toBe(tokenizer.decode(chat));
});

test('variables reach the chat template', async () => {
  const template = '{{ word }}';
  using own = await loadTiny(rt, 200, { ...texts, 'chat_template.jinja': template });
  const options = { maxTokens: 20, stopIds: [] };
  const messages = [{ role: 'user', content: 'Hi' }];
  const found = await parts(messages, { ...options, variables: { word: 'Once' } }, own);
  expect(found.join('')).toBe((await parts('Once', options)).join(''));
});

test('special tokens are left out where that is asked', async () => {
  const options = { maxTokens: 150, stopIds: [], temperature: 3, seed: 4 };
  const whole = (await parts('Once', options)).join('');
  expect(whole).toMatch(/<\/?s>|<unk>/);
  const without = await parts('Once', { ...options, skipSpecialTokens: true });
  expect(without.join('')).toBe(whole.replace(/<\/?s>|<unk>/g, ''));
});

test("a model's own ends end the text, and others in their place", async () => {
  const ids = await idsAfter(lm.tokenizer!.encode('Once'), 60);
  const stop = ids[20]!;
  const until = lm.tokenizer!.decode(ids.slice(0, ids.indexOf(stop)));
  expect((await parts('Once', { maxTokens: 60, stopIds: [stop] })).join('')).toBe(until);
  const own = { ...lm, stopIds: [stop] };
  expect((await parts('Once', { maxTokens: 60 }, own)).join('')).toBe(until);
});

test('nothing is given from where a stop begins, wherever tokens are cut', async () => {
  const options = { maxTokens: 40, stopIds: [] };
  const whole = (await parts('Once', options)).join('');
  for (let begin = 0; begin < whole.length; begin += 5) {
    for (const length of [1, 2, 7]) {
      const stop = whole.slice(begin, begin + length);
      const found = await parts('Once', { ...options, stop: ['never there', stop] });
      expect(found.join('')).toBe(whole.slice(0, whole.indexOf(stop)));
      expect(found).not.toContain('');
    }
  }
  // What looked like a stop and was none comes after all, at the end too.
  const almost = [`${whole.slice(-3)}!`, `${whole.slice(4, 9)}\u0000`];
  expect((await parts('Once', { ...options, stop: almost })).join('')).toBe(whole);
});

test('a template that is none hinders nobody who does not ask for it', async () => {
  using own = await loadTiny(rt, 200, { ...texts, 'chat_template.jinja': '{% if %}' });
  expect((await parts('Once', { maxTokens: 3 }, own)).join('')).not.toBe('');
  const chat = () => generateText(own, [{ role: 'user', content: 'Hi' }]);
  expect(chat).toThrow(FormatError);
  expect(chat).toThrow(/ChatTemplate\.render: the template: ChatTemplate: the text is no template: /);
});

describe('refused at once is', () => {
  const bad = (value: unknown): never => value as never;
  test.each([
    [
      'a model without tokenizer',
      () => generateText(bare, 'Hi'),
      TypeError,
      'no tokenizer, expected one (option tokenizer of loadModel)',
    ],
    [
      'messages without a template',
      () => generateText({ ...lm, chat: null }, [{ role: 'user', content: 'Hi' }]),
      TypeError,
      'the model has no chat template',
    ],
    [
      'an empty prompt',
      () => generateText(lm, ''),
      RangeError,
      'generateText: the prompt is empty, expected a token at least',
    ],
    ['no messages', () => generateText(lm, []), RangeError, 'messages are [], expected one at least'],
    [
      'a prompt too long',
      () => generateText(lm, 'x'.repeat(200)),
      RangeError,
      'prompt has 200 tokens, expected 1 to 199',
    ],
    ['a number', () => generateText(lm, bad(7)), TypeError, 'prompt is 7, expected a text or messages'],
    [
      'an unknown option',
      () => generateText(lm, 'x', bad({ tokens: 1 })),
      TypeError,
      "unknown option 'tokens'",
    ],
    [
      'a stop that is no list',
      () => generateText(lm, 'x', bad({ stop: 'x' })),
      TypeError,
      "stop is 'x', expected an array of texts",
    ],
    ['an empty stop', () => generateText(lm, 'x', { stop: [''] }), RangeError, 'stop has an empty text'],
    [
      'a tokenizer of more ids than the model has',
      () => generateText({ ...lm, tokenizer: big }, 'é'),
      RangeError,
      'expected 0 to 100',
    ],
  ])('%s', (_, call, kind, message) => {
    expect(call).toThrow(kind);
    expect(call).toThrow(message);
  });

  test('files that are none, before weights are read', async () => {
    const before = rt.memory();
    const load = (over: Record<string, string>) => loadTiny(rt, 200, { ...texts, ...over });
    await expect(load({ 'tokenizer.json': '{' })).rejects.toThrow(FormatError);
    await expect(load({ 'tokenizer.json': '{' })).rejects.toThrow(/^loadModel: tokenizer\.json: is no JSON/);
    await expect(load({ 'generation_config.json': '[]' })).rejects.toThrow(
      /generation_config\.json: is no object/,
    );
    expect(rt.memory()).toEqual(before);
  });
});
