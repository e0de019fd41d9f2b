/** Chats as text: what a template gets, and what it refuses. */
import { describe, expect, test } from 'vitest';
import { ChatTemplate, templateOfFiles } from '../../../src/models/text/chat-template.js';
import { FormatError } from '../../../src/values/format-error.js';

const TEXT = `{{ bos_token }}{% for m in messages %}
{% if m.role == 'system' and not loop.first %}{{ raise_exception('system goes first') }}{% endif %}
[{{ m['role'] }}]{{ m['content'] | trim }}{{ eos_token }}
{% endfor %}
{% if add_generation_prompt %}[assistant]{% endif %}`;
const special = new Map([
  ['bos_token', '<s>'],
  ['eos_token', '</s>'],
]);
const user = { role: 'user', content: ' Hi ' };

test('messages become text, with special tokens and the beginning of an answer', () => {
  const chat = new ChatTemplate(TEXT, special);
  expect(chat.render([user])).toBe('<s>[user]Hi</s>\n[assistant]');
  expect(chat.render([user, user], { addGenerationPrompt: false })).toBe('<s>[user]Hi</s>\n[user]Hi</s>\n');
});

test('text of a message is not read as a template', () => {
  const chat = new ChatTemplate('{{ messages[0].content }}');
  expect(chat.render([{ role: 'user', content: '{{ bos_token }}{% if %}' }])).toBe('{{ bos_token }}{% if %}');
});

test('variables reach the template, and tools are none unless they are given', () => {
  const chat = new ChatTemplate(
    '{% if tools is not none %}{{ tools[0] }}{% endif %}{% if enable_thinking %}think{% endif %}.',
  );
  expect(chat.render([user])).toBe('.');
  expect(chat.render([user], { variables: { enable_thinking: true, tools: ['saw'] } })).toBe('sawthink.');
});

describe('refused is', () => {
  const chat = new ChatTemplate(TEXT, special);
  const bad = (value: unknown): never => value as never;

  test('what the template refuses, in its words', () => {
    const render = () => chat.render([user, { role: 'system', content: 'x' }]);
    expect(render).toThrow(FormatError);
    expect(render).toThrow('ChatTemplate.render: the template: system goes first');
  });

  test('a text that is no template', () => {
    expect(() => new ChatTemplate('{% for %}')).toThrow(FormatError);
    expect(() => new ChatTemplate(bad(null))).toThrow(TypeError);
  });

  test('no message, and what is none', () => {
    expect(() => chat.render([])).toThrow(RangeError);
    expect(() => chat.render(bad('Hi'))).toThrow(TypeError);
    expect(() => chat.render(bad([{ role: 'user' }]))).toThrow(
      'ChatTemplate.render: message 0 is Object, expected an object with the texts role and content',
    );
    expect(() => chat.render([user], bad({ variables: 7 }))).toThrow(
      /variables are 7, expected a plain object/,
    );
    expect(() => chat.render([user], bad({ generate: true }))).toThrow(/unknown option 'generate'/);
  });
});

test("a folder's template is that of its own file, or of tokenizer_config.json, the default where it lists some", () => {
  const config = (template: unknown) => JSON.stringify({ chat_template: template });
  expect(templateOfFiles('folder', config('a'), 'b')).toBe('b');
  expect(templateOfFiles('folder', config('a'), null)).toBe('a');
  const named = [
    { name: 'tools', template: 't' },
    { name: 'default', template: 'd' },
  ];
  expect(templateOfFiles('folder', config(named), null)).toBe('d');
  expect(templateOfFiles('folder', config(named.slice(0, 1)), null)).toBe('t');
  expect(templateOfFiles('folder', '{}', null)).toBeNull();
  expect(templateOfFiles('folder', null, null)).toBeNull();
  expect(() => templateOfFiles('folder', '{', null)).toThrow(/folder: tokenizer_config\.json: is no JSON/);
});
