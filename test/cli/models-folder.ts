/** A folder with the tiny model, adapters, texts and rows for it, and the built command served in it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { tinyAdapter, tinyFiles, tinyTokenizer } from '../support/tiny-golden.js';
import { saveTiny } from './save-tiny.js';
import { type Ran, ServedCommand } from './served.js';

const TEMPLATE = "{% for m in messages %}{{ m.role[0] + ':' + m.content + '|' }}{% endfor %}";
export const texts = { 'tokenizer.json': tinyTokenizer(), 'chat_template.jinja': TEMPLATE };
export const LENGTH = 8192;
export const TEXT = 'The rain fell all day. Nobody minded, and the ducks were glad of it.';

/** Makes the folder before the tests of a file, and takes it away behind them. */
export function modelsFolder() {
  let folder = '';
  let command: ServedCommand;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'lora-wasm models '));
    command = new ServedCommand(folder);
    await saveTiny(join(folder, 'tiny'), tinyFiles(LENGTH, texts));
    await saveTiny(join(folder, 'bare'), tinyFiles(64));
    await saveTiny(join(folder, 'broken'), tinyFiles(64, { 'tokenizer.json': '{}' }));
    await saveTiny(
      join(folder, 'strict'),
      tinyFiles(64, { ...texts, 'chat_template.jinja': "{{ raise_exception('users are not heard') }}" }),
    );
    const { config, weights } = tinyAdapter();
    mkdirSync(join(folder, 'adapter'));
    writeFileSync(join(folder, 'adapter/adapter_config.json'), config);
    writeFileSync(join(folder, 'adapter/adapter_model.safetensors'), weights);
    writeFileSync(join(folder, 'text.txt'), TEXT);
    writeFileSync(join(folder, 'tokenizer.json'), tinyTokenizer());
    const rows = [
      { text: TEXT },
      {
        messages: [
          { role: 'user', content: 'Hi' },
          { role: 'assistant', content: 'Ho' },
        ],
      },
      { prompt: 'ab', completion: 'cd' },
    ];
    writeFileSync(join(folder, 'rows.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join('\n'));
    writeFileSync(join(folder, 'wrong.jsonl'), '{"text":"ab"}\n{"txt":"ab"}\n');
    mkdirSync(join(folder, 'empty'));
  });
  afterAll(() => {
    command.stop();
    rmSync(folder, { recursive: true });
  });

  return {
    path: (...parts: string[]): string => join(folder, ...parts),
    run: (...args: string[]): Promise<Ran> => command.run(args),
  };
}
