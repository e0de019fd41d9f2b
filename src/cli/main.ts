#!/usr/bin/env node
/** The `lora-wasm` command: `inspect`, `convert`, `train`, `merge`, `generate` and `eval`. A mistake is one line on stderr and exit code 1, never a stack trace. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError, Option } from 'commander';
import { convert } from '../formats/convert.js';
import type { AdapterFormat } from '../formats/lora-file.js';
import { readAdapter } from '../formats/read-adapter.js';
import { printable } from '../values/format-error.js';
import type { EvalFlags } from './eval.js';
import { reportFailure } from './failure.js';
import { readBase, readInput, writeOutput } from './files.js';
import type { GenerateFlags } from './generate.js';
import { reportOf, tableOf } from './inspect/adapter.js';
import type { MergeFlags } from './merge/command.js';
import { collect, modelOptions, number } from './model-options.js';
import { checkPath, ofFile } from './name-errors.js';
import { print, warn } from './print.js';
import { type TrainFlags, trainOptions } from './train/options.js';

const FORMATS = ['peft', 'mlx', 'gguf', 'kohya', 'loralib'];

/** From the package that this file is of. */
function version(): string {
  const text = readFileSync(join(dirname(fileURLToPath(import.meta.url)), '../../package.json'), 'utf8');
  const found: unknown = JSON.parse(text);
  return typeof found === 'object' && found !== null && 'version' in found
    ? String(found.version)
    : 'unknown';
}

function positive(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0)
    throw new InvalidArgumentError('Expected a number above 0.');
  return value;
}

/** A format by its name, in any case. */
function format(text: string): string {
  const name = text.toLowerCase();
  if (!FORMATS.includes(name)) throw new InvalidArgumentError(`Allowed choices are ${FORMATS.join(', ')}.`);
  return name;
}

async function inspect(input: string, { json = false }: { json?: boolean }): Promise<void> {
  const show = <T>(report: T, table: (report: T) => string): void =>
    print(process.stdout, json ? JSON.stringify(report, null, 2) : table(report));
  const { isModel, modelReport, modelTable } = await import('./inspect/model.js');
  if (await isModel(input)) return show(await modelReport(input), modelTable);
  const { checkpointIn, checkpointLine, checkpointOf, checkpointReport, checkpointTable } = await import(
    './inspect/checkpoint.js'
  );
  const checkpoint = await checkpointIn(input);
  if (checkpoint !== null) return show(await checkpointReport(checkpoint), checkpointTable);
  const { bytes, weights, config } = await readInput(input);
  const file = await ofFile(weights, config, () => readAdapter(bytes));
  const report = reportOf(file, bytes.weights.length);
  report.warnings.forEach(warn);
  show(report, tableOf);
  const newest = json ? null : await checkpointOf(input);
  if (newest !== null) print(process.stdout, checkpointLine(newest, await checkpointReport(newest)));
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
  checkPath(out, 'OUT');
  const { bytes, weights, config } = await readInput(input);
  const model = base === undefined ? null : await readBase(base);
  const { files, dropped, warnings } = await ofFile(weights, config, () =>
    convert(bytes, {
      ...{ to, dropUnsupported, force, base: model },
      ...(alpha === undefined ? {} : { alpha }),
    }),
  );
  const paths = await writeOutput(out, to, files, overwrite);
  warnings.forEach(warn);
  for (const [name, why] of dropped) print(process.stdout, `left out ${printable(name)} (${printable(why)})`);
  for (const path of paths) print(process.stdout, `wrote ${printable(path)}`);
}

const GENERATE_EXAMPLES = `
Examples:
  lora-wasm generate --model model.gguf --prompt "Once upon a time" --max-tokens 64
  lora-wasm generate --model model.gguf --chat --prompt "What colour is the sky?"
  lora-wasm generate --model folder --chat --system "Answer in rhyme." --prompt "Who are you?" --adapter poet --adapter calm:0.5
  lora-wasm generate --model model.gguf --prompt "Tea is" --temperature 0.8 --top-p 0.95 --seed 7 --json`;

function generate(): Command {
  return modelOptions(new Command('generate'))
    .description(
      'write on from a text, or answer one, with a language model; the text goes to standard output',
    )
    .requiredOption('--prompt <text>', 'the text')
    .option('--chat', "make a conversation of it by the model's chat template")
    .option('--system <text>', 'what the conversation begins with, for --chat')
    .option('--max-tokens <n>', 'tokens at most (default: 256)', number(1, 2 ** 31 - 1))
    .option(
      '--temperature <t>',
      'how freely tokens are drawn; 0 takes the likeliest',
      number(0, 1e6, false),
      0,
    )
    .option('--top-k <n>', 'draw among so many of the likeliest; 0 for all', number(0, 2 ** 31 - 1), 0)
    .option('--top-p <p>', 'draw among the likeliest that have this probability', number(1e-9, 1, false), 1)
    .option('--repetition-penalty <x>', 'how much less likely is what was there', number(1e-3, 1e3, false), 1)
    .option('--seed <n>', 'which tokens are drawn', number(0, 2 ** 32 - 1), 0)
    .option('--stop <text>', 'end before this text; repeatable', collect(String))
    .addHelpText('after', GENERATE_EXAMPLES)
    .action(async (flags: GenerateFlags) => {
      const { generateCommand } = await import('./generate.js');
      await generateCommand(flags);
    });
}

const EVAL_EXAMPLES = `
A file *.jsonl has a row a line, of which counts what counts in training: of {"text": ...} all, of
{"prompt": ..., "completion": ...} the completion, of {"messages": [...]} what the assistant says. Any other file is one text.

Examples:
  lora-wasm eval --model model.gguf --data book.txt
  lora-wasm eval --model model.gguf --data rows.jsonl --adapter my-adapter --json`;

function evaluate(): Command {
  return modelOptions(new Command('eval'))
    .description('measure how well a language model foretells a text: mean loss, perplexity')
    .requiredOption('--data <file>', 'a text, or rows of JSONL')
    .option('--length <n>', 'tokens of a piece at most', number(2, 2 ** 20), 512)
    .addHelpText('after', EVAL_EXAMPLES)
    .action(async (flags: EvalFlags) => {
      const { evalCommand } = await import('./eval.js');
      await evalCommand(flags);
    });
}

const TRAIN_EXAMPLES = `
A row is {"text": ...}, {"prompt": ..., "completion": ...} or {"messages": [...]}, a line each; answers alone count.

Examples:
  lora-wasm train --model model.gguf --data train.jsonl --valid valid.jsonl --out my-adapter
  lora-wasm train --model model.gguf --data folder --out my-adapter --epochs 3 --lr 1e-4 --r 16 --lora-alpha 32
  lora-wasm train --model model.gguf --data folder --out my-adapter --epochs 3 --lr 1e-4 --r 16 --lora-alpha 32 --resume`;

function train(): Command {
  return trainOptions(new Command('train'))
    .description(
      'train a LoRA adapter of a language model on rows of text; Ctrl-C saves, and --resume goes on',
    )
    .addHelpText('after', TRAIN_EXAMPLES)
    .action(async (flags: TrainFlags) => {
      const { trainCommand } = await import('./train/command.js');
      await trainCommand(flags);
    });
}

const MERGE_EXAMPLES = `
Examples:
  lora-wasm merge --model folder --adapter my-adapter --out merged
  lora-wasm merge --model model.gguf --adapter my-adapter --out merged --dequantise --dtype bf16`;

function merge(): Command {
  return modelOptions(new Command('merge'))
    .description('write a model with adapters in its weights, as a folder that transformers loads')
    .requiredOption('--out <dir>', 'a new folder')
    .addOption(
      new Option(
        '--dtype <type>',
        "type of the weights (default: the model's, f32 for a quantised one)",
      ).choices(['f32', 'f16', 'bf16']),
    )
    .option('--dequantise', 'for a quantised model: its values as float numbers')
    .option(
      '--shard-size <MB>',
      'a file at most, where it has more than one tensor',
      number(1e-6, 1e6, false),
      2000,
    )
    .addHelpText('after', MERGE_EXAMPLES)
    .action(async (flags: MergeFlags) => {
      const { mergeCommand } = await import('./merge/command.js');
      await mergeCommand(flags);
    });
}

function program(): Command {
  const command = new Command('lora-wasm')
    .description(
      'Looks at LoRA adapters, converts them between PEFT, MLX, GGUF, kohya and loralib, and runs language models with them.',
    )
    .version(version(), '--version', 'print the version')
    .exitOverride()
    .configureOutput({ outputError: () => {} });
  command
    .command('inspect <in>')
    .description('show what the file or folder of an adapter, a model or a checkpoint holds')
    .option('--json', 'as JSON')
    .action(inspect);
  command
    .command('convert <in> <out>')
    .description('write an adapter for another program; PEFT and MLX into a folder, the others to a file')
    .addOption(
      new Option('--to <format>', `target format (${FORMATS.join(', ')})`)
        .argParser(format)
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
  for (const own of [train(), merge(), generate(), evaluate()])
    command.addCommand(own.copyInheritedSettings(command));
  return command;
}

const command = program();
await command.parseAsync().catch((error: unknown) => reportFailure(error, command));
