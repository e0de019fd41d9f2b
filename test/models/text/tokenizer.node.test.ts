/** Tokenizers out of GGUF headers and `tokenizer.json`, against Python's `tokenizers` and by what they promise. */
import { describe, expect, test } from 'vitest';
import { TextTokenizer } from '../../../src/models/text/text-tokenizer.js';
import { FormatError } from '../../../src/values/format-error.js';
import { differing, TOKENIZERS } from '../../golden-support/random-texts.js';
import { smallHeader, smallJson } from '../../support/small-tokenizer.js';

const plain = { addSpecialTokens: false };
const byteLevel = { type: 'ByteLevel', add_prefix_space: false, use_regex: true };
const sequence = (...pretokenizers: unknown[]) => ({ type: 'Sequence', pretokenizers });

test.each(Object.keys(TOKENIZERS.hashes))('2,000 random texts cut as %s have the ids of Python', (pre) => {
  const tokenizer = TextTokenizer.fromGguf(smallHeader(pre));
  expect(differing((text) => tokenizer.encode(text, plain), TOKENIZERS.hashes[pre]!)).toEqual([]);
});

test.each([
  ['gpt-2', byteLevel],
  ['smollm', sequence({ type: 'Digits', individual_digits: true }, byteLevel)],
])('a tokenizer.json cut as %s has the ids of Python', (pre, preTokenizer) => {
  const tokenizer = TextTokenizer.fromJson(smallJson(preTokenizer));
  expect(differing((text) => tokenizer.encode(text, plain), TOKENIZERS.hashes[pre]!)).toEqual([]);
});

describe('a tokenizer', () => {
  const tokenizer = TextTokenizer.fromGguf(smallHeader('smollm', { add_bos_token: true }));

  test('puts tokens around a text, unless told not to', () => {
    const ids = tokenizer.encode('user', plain);
    expect(tokenizer.encode('user')).toEqual([1, ...ids]);
    expect(tokenizer.encode('')).toEqual([1]);
    expect(tokenizer.encode('', plain)).toEqual([]);
    const both = TextTokenizer.fromGguf(smallHeader('gpt-2', { add_bos_token: true, add_eos_token: true }));
    expect(both.encode('user')).toEqual([1, ...ids, 2]);
    expect(TextTokenizer.fromGguf(smallHeader('llama-bpe')).encode('')).toEqual([1]);
    expect(TextTokenizer.fromGguf(smallHeader('gpt-2')).encode('')).toEqual([]);
  });

  test('gives texts back, special tokens with them or without', () => {
    const text = '<|im_start|>naïve 12 🙂\r\n<|im_end|> don\'t , "now" !';
    const ids = tokenizer.encode(text, plain);
    expect(tokenizer.decode(ids)).toBe(text);
    expect(tokenizer.decode(Int32Array.from(ids))).toBe(text);
    expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe(text.replace(/<\|\w+\|>/g, ''));
    expect(tokenizer.decode([])).toBe('');
  });

  test('knows tokens by name and number, and roles', () => {
    expect(tokenizer.size).toBe(TOKENIZERS.tokens.length);
    expect(tokenizer.idOf('<|im_end|>')).toBe(2);
    expect(tokenizer.tokenOf(2)).toBe('<|im_end|>');
    expect([tokenizer.idOf('nothing'), tokenizer.tokenOf(700)]).toEqual([null, null]);
    expect(Object.fromEntries(tokenizer.special)).toEqual({
      bos_token: '<|im_start|>',
      eos_token: '<|im_end|>',
    });
  });

  test('takes names that objects have for tokens like others', () => {
    const tokens = TOKENIZERS.tokens.with(3, '__proto__').with(4, 'constructor');
    const own = TextTokenizer.fromGguf(
      smallHeader('gpt-2', { tokens, token_type: tokens.map((_, id) => (id < 5 ? 3 : 1)) }),
    );
    expect(own.encode('__proto__constructor')).toEqual([3, 4]);
    expect(own.decode([3, 4])).toBe('__proto__constructor');
  });

  test('leaves out ids that the vocabulary has a hole at', () => {
    const added = [{ id: 720, content: '<|late|>', special: true }];
    const own = TextTokenizer.fromJson(smallJson(byteLevel, { added_tokens: added }));
    expect(own.size).toBe(721);
    expect(own.decode([710, 720])).toBe('<|late|>');
  });

  test('reads roles from tokenizer_config.json', () => {
    const config = { bos_token: { content: '<|im_start|>' }, eos_token: '<|im_end|>', pad_token: null };
    const own = TextTokenizer.fromJson(smallJson(byteLevel), JSON.stringify(config));
    expect([...own.special]).toEqual([
      ['bos_token', '<|im_start|>'],
      ['eos_token', '<|im_end|>'],
    ]);
  });

  test('refuses texts and ids that are none', () => {
    const bad = (value: unknown): never => value as never;
    expect(() => tokenizer.encode(bad(7))).toThrow(
      new TypeError('TextTokenizer.encode: text is 7, expected a string'),
    );
    expect(() => tokenizer.encode('', bad({ special: true }))).toThrow(/unknown option 'special'/);
    expect(() => tokenizer.decode([700])).toThrow(
      new RangeError('TextTokenizer.decode: id is 700, expected 0 to 699'),
    );
    expect(() => tokenizer.decode([-1])).toThrow(RangeError);
    expect(() => tokenizer.decode([1.5])).toThrow(RangeError);
    expect(() => tokenizer.decode(bad(['1']))).toThrow(TypeError);
  });
});

test('a merge that makes no token loses no text', () => {
  const tokenizer = TextTokenizer.fromGguf(smallHeader('smollm', { merges: ['! "', '! #'] }));
  const ids = tokenizer.encode('!"#!#');
  expect(ids).toHaveLength(5);
  expect(tokenizer.decode(ids)).toBe('!"#!#');
});

describe('a header without a tokenizer that is rebuilt asks for tokenizer.json', () => {
  test.each([
    ['no tokenizer', { model: undefined }, /holds no tokenizer .*expected the model's tokenizer\.json/],
    ['SentencePiece', { model: 'llama' }, /model is 'llama', expected 'gpt2', or .*tokenizer\.json/],
    ['an unknown cut', { pre: 'tekken' }, /pre is 'tekken', expected one of gpt-2, smollm.*tokenizer\.json/],
    ['the name of a method', { pre: 'constructor' }, /pre is 'constructor', expected one of/],
    ['no cut', { pre: undefined }, /pre is not there, expected one of/],
    [
      'a token twice',
      { tokens: ['a', 'b', 'a'], token_type: [1, 1, 1] },
      /tokens 0 and 2 are the same.*tokenizer\.json/,
    ],
    ['no tokens', { tokens: undefined }, /tokens is no array of texts/],
    ['tokens that are numbers', { tokens: [1, 2] }, /tokens is no array of texts/],
    ['a merge of one', { merges: ['ab'] }, /merges 0 is 'ab', expected two tokens/],
    ['too few types', { token_type: [1] }, /token_type is no array of 700/],
    ['a role out of range', { eos_token_id: 700 }, /eos_token_id is 700, expected 0 to 699/],
    ['a flag that is none', { add_bos_token: 1 }, /add_bos_token is '1', expected true or false/],
  ])('%s', (_, over, message) => {
    const read = () => TextTokenizer.fromGguf(smallHeader('smollm', over));
    expect(read).toThrow(FormatError);
    expect(read).toThrow(message);
  });
});

describe('a tokenizer.json is refused with', () => {
  test.each([
    ['no JSON', '{', /tokenizer\.json: is no JSON/],
    ['no object', '[]', /tokenizer\.json: is no object/],
    ['no model', '{}', /there is no model/],
    ['no vocabulary', '{"model":{"type":"BPE"}}', /model\.vocab is none/],
    ['ids that are none', '{"model":{"type":"BPE","vocab":{"a":-1},"merges":[]}}', /model\.vocab is none/],
    ['merges that are none', '{"model":{"type":"BPE","vocab":{"a":0},"merges":["a"]}}', /merges are none/],
    [
      'added tokens without id',
      smallJson(byteLevel, { added_tokens: [{ content: 'a' }] }),
      /added_tokens are/,
    ],
    ['an unknown part', smallJson({ type: 'Nobody' }), /Unknown PreTokenizer type: Nobody/],
  ])('%s', (_, text, message) => {
    const read = () => TextTokenizer.fromJson(text);
    expect(read).toThrow(FormatError);
    expect(read).toThrow(message);
  });
});
