/** What of a GGUF header becomes text in and out, and that its arrays are dropped then. */
import { expect, test } from 'vitest';
import type { ModelSource } from '../../../src/models/source/model-source.js';
import { textOf } from '../../../src/models/text/of-source.js';
import { TextTokenizer } from '../../../src/models/text/text-tokenizer.js';
import { FormatError } from '../../../src/values/format-error.js';
import { smallHeader, smallJson } from '../../support/small-tokenizer.js';

const TEMPLATE = '{{ bos_token }}{{ messages[0].content }}{{ eos_token }}';
const json = smallJson({ type: 'ByteLevel', add_prefix_space: false, use_regex: true });

/** A source of which nothing but text is asked. */
function header(pre: string, over: Readonly<Record<string, unknown>> = {}): ModelSource {
  const metadata = new Map([...smallHeader(pre, over), ['tokenizer.chat_template', TEMPLATE]]);
  const source = {
    where: 'load: a.gguf',
    config: { eosTokenIds: [2] },
    tensors: new Map(),
    metadata,
    texts: new Map(),
  };
  return source as unknown as ModelSource;
}

test('a header gives tokenizer, template and ends, and its arrays are dropped', async () => {
  const source = header('smollm', { eot_token_id: 0, scores: [1] });
  const { tokenizer, chat, stopIds } = await textOf('load', source, undefined);
  expect(tokenizer!.decode(tokenizer!.encode('naïve 12'))).toBe('naïve 12');
  expect(chat!.render([{ role: 'user', content: 'Hi' }])).toBe('<|im_start|>Hi<|im_end|>');
  expect(stopIds).toEqual([2, 0]);
  expect([...source.metadata!.keys()].filter((key) => /tokens|merges|token_type|scores/.test(key))).toEqual(
    [],
  );
});

test('a tokenizer that is given takes the place of one that is not rebuilt', async () => {
  await expect(textOf('load', header('tekken'), undefined)).rejects.toThrow(FormatError);
  await expect(textOf('load', header('tekken'), undefined)).rejects.toThrow(
    /^load: a\.gguf: tokenizer\.ggml\.pre is 'tekken'.*tokenizer\.json \(option tokenizer of loadModel\)/,
  );
  for (const given of [new Blob([json]), TextTokenizer.fromJson(json)]) {
    const { tokenizer, chat } = await textOf('load', header('tekken'), given);
    expect(tokenizer!.encode('<|im_end|>')).toEqual([2]);
    expect(chat!.render([{ role: 'user', content: 'Hi' }])).toBe('<|im_start|>Hi<|im_end|>');
  }
  const none = await textOf('load', header('tekken'), null);
  expect([none.tokenizer, none.stopIds]).toEqual([null, [2]]);
  await expect(textOf('load', header('tekken'), new Blob(['{}']))).rejects.toThrow(
    'load: tokenizer: tokenizer.json: there is no model, expected one',
  );
  await expect(textOf('load', header('tekken'), new Blob([Uint8Array.of(0x7b, 0xff, 0x7d)]))).rejects.toThrow(
    'load: tokenizer: the text is not valid UTF-8',
  );
  await expect(textOf('load', header('tekken'), 7 as never)).rejects.toThrow(TypeError);
});

test('a header without a tokenizer gives none', async () => {
  const { tokenizer } = await textOf('load', header('smollm', { model: undefined }), undefined);
  expect(tokenizer).toBeNull();
});
