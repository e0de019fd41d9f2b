/** The options of `lora-wasm train` as the page has them, against the table that the command and its help are made of. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { expect, test } from 'vitest';
import { defaultOf, TRAIN_OPTIONS, trainOptions } from '../../src/cli/train/options.js';

test('the page lists every option with its meaning and default, as the help does, and no other', () => {
  const page = readFileSync(new URL('../../docs/train.md', import.meta.url), 'utf8');
  const rows = page.split('\n').filter((line) => line.startsWith('| `--'));
  const cell = (text: string): string => text.replaceAll('|', '\\|');
  expect(rows).toEqual(
    TRAIN_OPTIONS.map((one) => `| \`${cell(one.flags)}\` | ${cell(one.text)} | ${cell(defaultOf(one))} |`),
  );
  const help = trainOptions(new Command('train')).configureHelp({ helpWidth: 1000 }).helpInformation();
  for (const one of TRAIN_OPTIONS) {
    const line = help.split('\n').find((text) => text.trim().startsWith(`${one.flags} `));
    expect(line).toContain(one.text);
    if (defaultOf(one) !== '') expect(line?.replaceAll('"', '')).toContain(`default: ${defaultOf(one)}`);
  }
});
