/** Rows of JSONL as tokens: what counts in each form, what is cut, what is refused; and rows packed into sequences. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ChatTemplate, TextTokenizer } from '../../src/models/index.js';
import { packRows, parseRows } from '../../src/train/index.js';
import { tinyTokenizer } from '../support/tiny-golden.js';

const tokenizer = TextTokenizer.fromJson(tinyTokenizer(), JSON.stringify({ eos_token: '</s>' }));
const END = 2;
/** A template like ChatML, over letters: `u:Hi|a:` asks, `;` ends a turn of the assistant. */
const chat = new ChatTemplate(
  "{% for m in messages %}{{ m.role[0] + ':' + m.content + (';' if m.role == 'assistant' else '|') }}{% endfor %}{% if add_generation_prompt %}a:{% endif %}",
);
const parse = (text: string, options: Partial<Parameters<typeof parseRows>[1]> = {}) =>
  parseRows(text, { tokenizer, chat, name: 'rows.jsonl', onWarning: () => {}, ...options });
const lines = (...rows: object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
const ids = (text: string): number[] => tokenizer.encode(text);
const masked = (text: string): number[] => ids(text).map(() => -100);
/** One row's ids and labels as arrays. */
const one = (text: string, options = {}) => {
  const [row] = parse(text, options);
  return { ids: [...row!.ids], labels: [...row!.labels] };
};

describe('a row of', () => {
  test('a text counts whole and ends with the end of text, once', () => {
    const all = [...ids('Tea is hot'), END];
    expect(one(lines({ text: 'Tea is hot' }))).toEqual({ ids: all, labels: all });
    expect(one(lines({ text: 'Tea is hot</s>' }))).toEqual({ ids: all, labels: all });
  });

  test('a prompt and a completion counts behind the prompt, unless prompts are not masked', () => {
    const row = lines({ prompt: 'ab', completion: 'cd' });
    const all = [...ids('abcd'), END];
    expect(one(row)).toEqual({ ids: all, labels: [-100, -100, ...ids('cd'), END] });
    expect(one(row, { maskPrompt: false })).toEqual({ ids: all, labels: all });
  });

  const messages = [
    { role: 'system', content: 'S' },
    { role: 'user', content: 'Hi' },
    { role: 'assistant', content: 'Ho' },
    { role: 'user', content: 'More' },
    { role: 'assistant', content: 'No' },
    { role: 'user', content: 'Bye' },
  ];
  test('messages counts every turn of the assistant with its end, and nothing else', () => {
    expect(one(lines({ messages }))).toEqual({
      ids: ids('s:S|u:Hi|a:Ho;u:More|a:No;u:Bye|'),
      labels: [
        ...[...masked('s:S|u:Hi|a:'), ...ids('Ho;'), ...masked('u:More|a:')],
        ...[...ids('No;'), ...masked('u:Bye|')],
      ],
    });
  });

  test('messages in prompt and completion counts those of the completion', () => {
    const row = lines({ prompt: messages.slice(0, 4), completion: messages.slice(4, 5) });
    expect(one(row).labels).toEqual([...masked('s:S|u:Hi|a:Ho;u:More|a:'), ...ids('No;')]);
  });
});

test('byte order mark, empty lines and line ends of Windows change nothing', () => {
  const rows = parse('\ufeff{"text":"ab"}\r\n\r\n  \n{"text":"cd"}');
  expect(rows.map((row) => [...row.ids])).toEqual([
    [...ids('ab'), END],
    [...ids('cd'), END],
  ]);
});

test('what is longer is cut and counted, what then has nothing that counts is left out, keys not read are named once', () => {
  const told: string[] = [];
  const text = lines(
    { text: 'abcdefgh', id: 1 },
    { prompt: 'abcdef', completion: 'x', id: 2, tools: [] },
    { text: 'ab' },
  );
  const rows = parse(text, { maxLength: 4, onWarning: (message: string) => told.push(message) });
  expect(rows.map((row) => [...row.ids])).toEqual([ids('abcd'), [...ids('ab'), END]]);
  expect(told).toEqual([
    "rows.jsonl: not read: 'id', 'tools'",
    'rows.jsonl: 2 rows are longer than 4 tokens, 9 tokens behind them are cut off; of 1 nothing that counts is left, they are left out',
  ]);
});

describe('refused by its line is', () => {
  const good = lines({ text: 'ab' });
  test.each<[string, string, RegExp]>([
    ['a line that is no JSON', `${good}{"text":`, /^rows\.jsonl: line 2: .*JSON/],
    ['no object', `${good}[1]`, /line 2: the row is \[1\], expected an object with text/],
    ['none of the forms', `\n${good}{"txt":1}`, /line 3: the object has txt, expected/],
    ['an empty object', '{}', /line 1: the object has no key/],
    ['half of a form', lines({ prompt: 'a' }), /line 1: the object has prompt, expected/],
    [
      'two forms',
      lines({ text: 'a', messages: [] }),
      /line 1: the object has text, messages, .* one of them/,
    ],
    ['a text that is none', lines({ text: 7 }), /line 1: text is 7, expected a text/],
    ['an empty text', lines({ text: '' }), /line 1: no token counts/],
    ['one token', lines({ text: '</s>' }), /line 1: no token counts/],
    ['an empty completion', lines({ prompt: 'ab', completion: '' }), /line 1: no token counts/],
    [
      'no assistant',
      lines({ messages: [{ role: 'user', content: 'a' }] }),
      /line 1: no message is of the assistant/,
    ],
    [
      'an assistant that begins',
      lines({ messages: [{ role: 'assistant', content: 'a' }] }),
      /line 1: message 0 is of the assistant/,
    ],
    [
      'a message without content',
      lines({ messages: [{ role: 'user' }] }),
      /line 1: .*message 0 is .* expected an object with the texts role and content/,
    ],
    ['nothing', ' \n', /^rows\.jsonl: there is no row/],
    [
      'all masked',
      lines({ prompt: 'abcdefgh', completion: 'x' }),
      /line 1: no token counts within 8 tokens, here or in any other row/,
    ],
  ])('%s', (_, text, message) => {
    expect(() => parse(text, { maxLength: 8 })).toThrow(message);
    expect(() => parse(text, { maxLength: 8 })).toThrow(expect.objectContaining({ name: 'FormatError' }));
  });

  test('messages without a chat template', () => {
    expect(() => parse(lines({ messages: [{ role: 'user', content: 'a' }] }), { chat: null })).toThrow(
      /line 1: messages, and the model has no chat template/,
    );
  });

  test('a conversation whose template writes earlier turns otherwise later', () => {
    const last = "{% for m in messages %}{{ m.content if loop.last else '-' }}{% endfor %}";
    const messages = ['user', 'assistant', 'user'].map((role) => ({ role, content: role }));
    expect(() => parse(lines({ messages }), { chat: new ChatTemplate(last) })).toThrow(
      /line 1: the chat template writes message 1 otherwise where the conversation goes on/,
    );
  });

  test('a form that was not asked for', () => {
    expect(() => parse(lines({ text: 'a' }), { format: 'messages' })).toThrow(
      /line 1: the object has text, expected messages/,
    );
  });
});

test('packed rows are all there, apart from each other, in no more than the length', () => {
  const row = fc.array(fc.integer({ min: 3, max: 100 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(
      fc.array(row, { minLength: 1, maxLength: 30 }),
      fc.integer({ min: 20, max: 60 }),
      (given, length) => {
        const rows = given.map((one) => ({
          ids: Int32Array.from(one),
          labels: Int32Array.from(one, (id) => -id),
        }));
        const found: number[][] = [];
        for (const { ids: all, labels, starts, positions } of packRows(rows, length)) {
          expect(all.length).toBeLessThanOrEqual(length);
          expect([...labels]).toEqual([...all].map((id) => -id));
          for (const [i, id] of all.entries()) {
            if (starts[i] === i) found.push([]);
            expect(starts[i]! + positions[i]!).toBe(i);
            expect(found.at(-1)!.push(id)).toBe(positions[i]! + 1);
          }
        }
        const key = (one: number[]): string => one.join();
        expect(found.map(key).sort()).toEqual(given.map(key).sort());
      },
    ),
  );
});

test('a row longer than a sequence is refused', () => {
  const row = { ids: new Int32Array(5), labels: new Int32Array(5) };
  expect(() => packRows([row], 4)).toThrow('packRows: row 0 has 5 tokens, expected 4 at most');
});
