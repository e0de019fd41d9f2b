#!/usr/bin/env node
/** The `lora-wasm` command: `inspect` and `convert`. A mistake is one line on stderr and exit code 1, never a stack trace. */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { convert } from '../formats/convert.js';
import type { AdapterFormat } from '../formats/lora-file.js';
import { readAdapter } from '../formats/read-adapter.js';
import { readBase, readInput, writeOutput } from './files.js';
import { reportOf, tableOf } from './inspect.js';

function positive(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0)
    throw new InvalidArgumentError('Expected a number above 0.');
  return value;
}

/** Names come from files of others: no control characters of theirs reach the terminal. */
function printable(text: string): string {
  return text.replace(/[^\P{Cc}\n]/gu, '?');
}

function warn(lines: readonly string[]): void {
  for (const line of lines) process.stderr.write(printable(`warning: ${line}\n`));
}

async function inspect(input: string, { json = false }: { json?: boolean }): Promise<void> {
  const files = await readInput(input);
  const report = reportOf(await readAdapter(files), files.weights.length);
  warn(report.warnings);
  process.stdout.write(printable(`${json ? JSON.stringify(report, null, 2) : tableOf(report)}\n`));
}

interface ConvertFlags {
  readonly to: AdapterFormat;
  readonly alpha?: number;
  readonly base?: string;
  readonly dropUnsupported?: boolean;
  readonly force?: boolean;
  readonly overwrite?: boolean;
}

async function convertFiles(input: string, out: string, flags: ConvertFlags): Promise<void> {
  const { to, alpha, base, dropUnsupported = false, force = false, overwrite = false } = flags;
  const { files, dropped, warnings } = await convert(await readInput(input), {
    to,
    dropUnsupported,
    force,
    base: base === undefined ? null : await readBase(base),
    ...(alpha === undefined ? {} : { alpha }),
  });
  const paths = await writeOutput(out, to, files, overwrite);
  warn(warnings);
  for (const [name, why] of dropped) process.stdout.write(printable(`left out ${name} (${why})\n`));
  for (const path of paths) process.stdout.write(`wrote ${path}\n`);
}

function program(): Command {
  const command = new Command('lora-wasm')
    .description('Looks at LoRA adapters and converts them between PEFT, MLX, GGUF, kohya and loralib.')
    .exitOverride()
    .configureOutput({ outputError: () => {} });
  command
    .command('inspect <in>')
    .description('show what an adapter file or folder holds')
    .option('--json', 'as JSON')
    .action(inspect);
  command
    .command('convert <in> <out>')
    .description('write an adapter for another program; PEFT and MLX into a folder, the others to a file')
    .addOption(
      new Option('--to <format>', 'target format')
        .choices(['peft', 'mlx', 'gguf', 'kohya', 'loralib'])
        .makeOptionMandatory(),
    )
    .option('--alpha <n>', 'alpha, for an input that does not hold it', positive)
    .option(
      '--base <file>',
      "the base model's config.json, its folder, or model.gguf, for GGUF and embeddings in MLX",
    )
    .option('--drop-unsupported', 'leave out what the target cannot hold, and list it')
    .option('--force', 'write weights that are not finite')
    .option('--overwrite', 'replace files that are there')
    .action(convertFiles);
  return command;
}

function report(error: unknown): void {
  // Help is a CommanderError too, with exit code 0.
  if (error instanceof CommanderError && error.exitCode === 0) return;
  const without = error instanceof CommanderError && error.code === 'commander.help';
  const text = error instanceof Error ? error.message : String(error);
  const line = without ? 'no command, expected inspect or convert' : text.replace(/^error: /, '');
  process.stderr.write(`lora-wasm: ${printable(line.replace(/\s*\n\s*/g, ' '))}\n`);
  process.exitCode = 1;
}

program().parseAsync().catch(report);
