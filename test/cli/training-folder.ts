/** A folder with the tiny model and rows to learn, and the built command served in it, for the tests of `lora-wasm train`. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { tinyFiles, tinyTokenizer } from '../support/tiny-golden.js';
import { saveTiny } from './save-tiny.js';
import { type Ran, ServedCommand } from './served.js';

const TEMPLATE =
  "{% for m in messages %}{{ m.role[0] + ':' + m.content + (';' if m.role == 'assistant' else '|') }}{% endfor %}{% if add_generation_prompt %}a:{% endif %}";
export const texts = {
  'tokenizer.json': tinyTokenizer(),
  'tokenizer_config.json': JSON.stringify({ eos_token: '</s>' }),
  'chat_template.jinja': TEMPLATE,
};
export const LENGTH = 256;
const ask = (q: string, a: string) => ({
  messages: [
    { role: 'user', content: q },
    { role: 'assistant', content: a },
  ],
});
export const ROWS = ['one', 'two', 'three', 'four', 'five', 'six', 'seven'].map((word) =>
  ask(word, [...word].reverse().join('')),
);
export const VALID = ['eight', 'nine'].map((word) => ask(word, [...word].reverse().join('')));
export const jsonl = (rows: readonly object[]): string =>
  rows.map((row) => `${JSON.stringify(row)}\n`).join('');
/** What a run learns, and how fast. */
export const fast = ['--data', 'data', '--lr', '0.01', '--batch-size', '2'];
/** The tiny model with the bits of every engine. */
export const ONE_THREAD = ['--model', 'tiny', '--kernels', 'simd', '--threads', '1'];

/** Makes the folder before the tests of a file, and takes it away behind them. */
export function trainingFolder() {
  let folder = '';
  let command: ServedCommand;
  const path = (...parts: string[]): string => join(folder, ...parts);
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'lora-wasm train '));
    command = new ServedCommand(folder);
    await saveTiny(path('tiny'), tinyFiles(LENGTH, texts));
    mkdirSync(path('data'));
    writeFileSync(path('data/train.jsonl'), jsonl(ROWS));
    writeFileSync(path('data/valid.jsonl'), jsonl(VALID));
  });
  afterAll(() => {
    command.stop();
    rmSync(folder, { recursive: true });
  });
  const run = (...args: string[]): Promise<Ran> => command.run(args);
  return {
    path,
    run,
    bytes: (...parts: string[]): Buffer => readFileSync(path(...parts)),
    /** Words of the command line, with options that give the same bits as a runtime in a test. */
    train: (...args: string[]): Promise<Ran> => run('train', ...ONE_THREAD, ...args.join(' ').split(' ')),
    /** Lines of metrics without times. */
    metrics: (...parts: string[]): object[] =>
      readFileSync(path(...parts), 'utf8')
        .trim()
        .split('\n')
        .map((line) => {
          const { seconds: _, ...rest } = JSON.parse(line);
          return rest;
        }),
  };
}
