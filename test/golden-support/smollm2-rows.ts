/** Conversations as rows of ids and labels, against those that `smollm2/train.safetensors` was trained on. */
import { expect } from 'vitest';
import { openGguf } from '../../src/formats/gguf-file.js';
import { parseSafetensors } from '../../src/formats/index.js';
import { ChatTemplate } from '../../src/models/text/chat-template.js';
import { TextTokenizer } from '../../src/models/text/text-tokenizer.js';
import { parseRows } from '../../src/train/rows.js';
import { goldenBytes } from './files.js';
import { MODEL_URL } from './smollm2.js';

const PAD = 2;

/** Each golden row is a question and an answer; the text of both is read out of its own ids. */
export async function checkRows(): Promise<void> {
  const { metadata } = await openGguf('the model', MODEL_URL);
  const tokenizer = TextTokenizer.fromGguf(metadata);
  const chat = new ChatTemplate(String(metadata.get('tokenizer.chat_template')), tokenizer.special);
  const file = parseSafetensors(goldenBytes('smollm2/train.safetensors'));
  const [ids, labels] = ['ids', 'labels'].map((name) => Array.from(file.array(name), Number));
  const [rows = 0, length = 0] = file.info('ids').shape;
  expect(rows).toBeGreaterThan(0);
  for (let row = 0; row < rows; row++) {
    const cut = (values: readonly number[]): number[] => values.slice(row * length, (row + 1) * length);
    const [own, marks] = [cut(ids!), cut(labels!)];
    const text = tokenizer.decode(own);
    const [, question, answer] =
      /<\|im_start\|>user\n(.*?)<\|im_end\|>\n<\|im_start\|>assistant\n(.*?)<\|im_end\|>/s.exec(text) ?? [];
    const messages = [
      { role: 'user', content: question },
      { role: 'assistant', content: answer },
    ];
    const [found] = parseRows(JSON.stringify({ messages }), { tokenizer, chat, maxLength: length });
    const padding = length - found!.ids.length;
    expect([...found!.ids, ...Array(padding).fill(PAD)]).toEqual(own);
    expect([...found!.labels, ...Array(padding).fill(-100)]).toEqual(marks);
  }
}
